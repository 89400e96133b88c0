// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/template"
)

const (
	// Retention is how long a record is kept after its root is gone, and an epoch after the last LabWorkload.
	Retention = 30 * 24 * time.Hour
	// MaxRecovery is how long a namespace can be in recovery.
	MaxRecovery = 24 * time.Hour
	// maxEntries is how many admissions a record keeps; those in use are kept beyond it, up to maxInUse.
	maxEntries = 100
	maxInUse   = 500
)

// Governance is how a root workload stands to the LabWorkloads of its namespace.
type Governance int

// The governances of a root workload. Enforced wins over Audited where two LabWorkloads select it.
const (
	Ungoverned Governance = iota
	Audited
	Enforced
)

// ObservedRoot is one root workload as it is now.
type ObservedRoot struct {
	*template.Root
	// Governance says whether a LabWorkload selects it, and how.
	Governance Governance
	// InUse are the references that its old revisions and its pods have, besides those of its template.
	InUse []string
}

// Observation is everything that decides what the books of one namespace should say.
type Observation struct {
	Namespace string
	Roots     []ObservedRoot
	Records   []v1alpha1.RolloutRecord
	// HeldOwned is how many objects are held that a controller owns, and so are no roots.
	HeldOwned int
	// Inhabited says that there is a LabWorkload in the namespace.
	Inhabited bool
	// Proof is what the canary has just said; nil if it was not asked. Proven with an instant begins the epoch of a namespace that has none.
	Proof *v1alpha1.Epoch
	// Recovery says that the namespace carries the recovery label.
	Recovery bool
	Now      time.Time
}

// Plan is what has to be written so that the books are right. Records are whole, as they should be.
type Plan struct {
	// Write are records to create or update; the epoch is the last, so that a crash before it begins the epoch anew.
	Write []v1alpha1.RolloutRecord
	// Delete are names of records whose time is over.
	Delete []string
	// NextChange is when time alone asks for another look; zero if never.
	NextChange time.Time
}

// EpochOf is the enforcement epoch among the records of a namespace; nil if none has begun.
func EpochOf(records []v1alpha1.RolloutRecord) *v1alpha1.Epoch {
	for i := range records {
		if records[i].Name == v1alpha1.EpochRecordName {
			return records[i].Spec.Epoch
		}
	}
	return nil
}

// Begun says whether enforcement in the namespace has been proven.
func Begun(epoch *v1alpha1.Epoch) bool {
	return epoch != nil && epoch.EnforcedSince != nil
}

// PlanRecords says what the records of a namespace should be. Before the first enforcement nothing is kept: Audit touches nothing.
func PlanRecords(seen Observation) Plan {
	begun := Begun(EpochOf(seen.Records))
	books := newBooks(seen)
	keeps := begun || Begun(seen.Proof)
	books.observe(keeps)
	if keeps {
		books.copyAdmissions()
		books.enterAll(!begun)
	}
	books.noteHeld()
	var plan Plan
	for _, name := range books.names() {
		books.settle(name, &plan)
	}
	books.settleEpoch(&plan)
	return plan
}

// books are the records of one namespace while they are being brought up to date.
type books struct {
	seen    Observation
	roots   []*ObservedRoot
	before  map[string]v1alpha1.RolloutRecord
	after   map[string]*v1alpha1.RolloutRecord
	present map[string]bool
	// inUse are the references that templates, old revisions and pods have, inferred those of them that entered with this plan: by record.
	inUse, inferred map[string]map[string]bool
	// held is how many roots are held.
	held int32
}

func newBooks(seen Observation) *books {
	b := &books{
		seen: seen, before: map[string]v1alpha1.RolloutRecord{}, after: map[string]*v1alpha1.RolloutRecord{}, present: map[string]bool{},
		inUse: map[string]map[string]bool{}, inferred: map[string]map[string]bool{},
	}
	for i := range seen.Records {
		b.before[seen.Records[i].Name] = seen.Records[i]
		b.after[seen.Records[i].Name] = seen.Records[i].DeepCopy()
	}
	for i := range seen.Roots {
		b.roots = append(b.roots, &seen.Roots[i])
	}
	slices.SortFunc(b.roots, inOrder)
	return b
}

// inOrder puts enforced roots first, then audited ones: what the former are given may count for the latter. The rest only makes the
// plan independent of the order of caches.
func inOrder(a, b *ObservedRoot) int {
	return cmp.Or(cmp.Compare(b.Governance, a.Governance), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.APIVersion, b.APIVersion), cmp.Compare(a.UID, b.UID))
}

func (b *books) names() []string {
	names := make([]string, 0, len(b.after))
	for name := range b.after {
		if name != v1alpha1.EpochRecordName {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// observe notes which records have a root, and what is in use, whoever governs it. keeps says that an epoch has begun; without one the
// records of an inhabited namespace wait for it.
func (b *books) observe(keeps bool) {
	for _, root := range b.roots {
		name := RecordName(root.Kind, root.Name)
		b.present[name] = keeps || b.seen.Inhabited
		if b.inUse[name] == nil {
			b.inUse[name] = map[string]bool{}
		}
		for _, reference := range root.references() {
			b.inUse[name][reference] = true
		}
	}
}

// references are the images that the root may run. What a held one declares it does not run.
func (r *ObservedRoot) references() []string {
	if r.Held() {
		return r.InUse
	}
	return slices.Concat(r.Template.References(), r.InUse)
}

// copyAdmissions copies what stands in the annotations of every root, before anything is inferred: an admission of one root may count for another.
func (b *books) copyAdmissions() {
	for _, root := range b.roots {
		name := RecordName(root.Kind, root.Name)
		if root.Governance == Ungoverned && b.after[name] == nil {
			continue
		}
		record := b.record(name, root)
		for _, image := range Admissions(root.Annotations) {
			add(record, image)
		}
	}
}

// enterAll writes what the roots use into their records. beginning says that the epoch begins with this plan, so that what is there
// is PreExisting.
func (b *books) enterAll(beginning bool) {
	shared := NewSet(nil, nil, b.records()).shared
	for _, root := range b.roots {
		record := b.after[RecordName(root.Kind, root.Name)]
		if record == nil {
			continue
		}
		entering := govern(record, root, b.seen.Now)
		if root.Governance == Ungoverned {
			continue
		}
		own := ownOf(record)
		for _, reference := range root.references() {
			reason, admitted := Set{own: own, shared: shared}.Admitted(reference)
			if !admitted {
				reason = b.reason(root.Governance, beginning, entering)
			}
			if beginning && root.Governance == Enforced && reason == v1alpha1.AdmittedEnteredUngoverned {
				reason = v1alpha1.AdmittedPreExisting
			}
			if reason == "" || !template.Valid(reference) {
				continue
			}
			image := v1alpha1.AdmittedImage{
				Reference: reference, Container: containerOf(root, reference), Time: *stamp(b.seen.Now), Reason: reason,
			}
			if add(record, image) {
				b.infer(record.Name, reference)
			}
			if _, known := shared[reference]; !known && image.JoinsNamespace() {
				shared[reference] = image
			}
		}
	}
}

// govern keeps since when a root is under enforcement. It returns whether it comes under it with this plan, so that what it runs entered
// ungoverned. A Job or a bare pod does if the gate has never written on it.
func govern(record *v1alpha1.RolloutRecord, root *ObservedRoot, now time.Time) (entering bool) {
	if record.Name == v1alpha1.RunOnceRecordName {
		if root.Governance == Enforced && record.Spec.GovernedSince == nil {
			record.Spec.GovernedSince = stamp(now)
		}
		return len(References(root.Annotations)) == 0
	}
	entering = record.Spec.GovernedSince == nil
	switch {
	case root.Governance != Enforced:
		record.Spec.GovernedSince = nil
	case entering:
		record.Spec.GovernedSince = stamp(now)
	}
	return entering
}

// ownOf are the admissions that count for the root of a record alone. Nobody owns the record that Jobs and bare pods share.
func ownOf(record *v1alpha1.RolloutRecord) map[string]v1alpha1.AdmittedImage {
	own := map[string]v1alpha1.AdmittedImage{}
	if record.Name != v1alpha1.RunOnceRecordName {
		for _, image := range record.Spec.Admitted {
			own[image.Reference] = image
		}
	}
	return own
}

// reason says why an image that nobody has admitted is taken into the books; empty if it is not.
func (b *books) reason(governance Governance, beginning, entering bool) v1alpha1.AdmissionReason {
	switch {
	case governance == Audited:
		return v1alpha1.AdmittedAudit
	case beginning:
		return v1alpha1.AdmittedPreExisting
	case b.seen.Recovery:
		return v1alpha1.AdmittedRecovery
	case entering:
		return v1alpha1.AdmittedEnteredUngoverned
	default:
		return ""
	}
}

func (b *books) infer(name, reference string) {
	if b.inferred[name] == nil {
		b.inferred[name] = map[string]bool{}
	}
	b.inferred[name][reference] = true
}

func (b *books) record(name string, root *ObservedRoot) *v1alpha1.RolloutRecord {
	if b.after[name] == nil {
		record := &v1alpha1.RolloutRecord{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: b.seen.Namespace}}
		if name != v1alpha1.RunOnceRecordName {
			record.Spec.Root = &v1alpha1.RootReference{APIVersion: root.APIVersion, Kind: root.Kind, Name: root.Name}
		}
		b.after[name] = record
	}
	return b.after[name]
}

func (b *books) records() []v1alpha1.RolloutRecord {
	records := make([]v1alpha1.RolloutRecord, 0, len(b.after))
	for _, record := range b.after {
		records = append(records, *record)
	}
	return records
}

// add keeps an admission. What is there stays, but an image that entered ungoverned, came under Audit or in recovery may be judged
// better later. It returns whether the image is new in the record.
func add(record *v1alpha1.RolloutRecord, image v1alpha1.AdmittedImage) bool {
	at := slices.IndexFunc(record.Spec.Admitted, func(a v1alpha1.AdmittedImage) bool { return a.Reference == image.Reference })
	switch {
	case at < 0:
		record.Spec.Admitted = append(record.Spec.Admitted, image)
		return true
	case !record.Spec.Admitted[at].Reason.JoinsNamespace() && image.Reason.JoinsNamespace():
		record.Spec.Admitted[at] = image
	}
	return false
}

func containerOf(root *ObservedRoot, reference string) string {
	for _, image := range root.Template.Images {
		if image.Reference == reference {
			return image.Container
		}
	}
	return ""
}
