// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
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
	if begun || Begun(seen.Proof) {
		for i := range seen.Roots {
			books.enter(&seen.Roots[i], !begun)
		}
	}
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
	before  map[string]v1alpha1.RolloutRecord
	after   map[string]*v1alpha1.RolloutRecord
	present map[string]bool
	inUse   map[string][]string
}

func newBooks(seen Observation) *books {
	b := &books{
		seen: seen, before: map[string]v1alpha1.RolloutRecord{}, after: map[string]*v1alpha1.RolloutRecord{},
		present: map[string]bool{}, inUse: map[string][]string{},
	}
	for i := range seen.Records {
		b.before[seen.Records[i].Name] = seen.Records[i]
		b.after[seen.Records[i].Name] = seen.Records[i].DeepCopy()
	}
	return b
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

// enter writes one root workload into its record. beginning says that the epoch begins with this plan, so that what is there is PreExisting.
func (b *books) enter(root *ObservedRoot, beginning bool) {
	name := RecordName(root.Kind, root.Name)
	b.present[name] = true
	if root.Governance == Ungoverned && b.after[name] == nil {
		return
	}
	record := b.record(name, root)
	entering := record.Spec.GovernedSince == nil || name == v1alpha1.RunOnceRecordName && len(References(root.Annotations)) == 0
	switch {
	case root.Governance != Enforced:
		if name != v1alpha1.RunOnceRecordName {
			record.Spec.GovernedSince = nil
		}
	case record.Spec.GovernedSince == nil:
		record.Spec.GovernedSince = stamp(b.seen.Now)
	}
	for _, image := range Admissions(root.Annotations) {
		add(record, image)
	}
	if root.Governance == Ungoverned {
		return
	}
	set := NewSet(nil, []string{name}, b.records())
	references := append(root.Template.References(), root.InUse...)
	b.inUse[name] = append(b.inUse[name], references...)
	for _, reference := range references {
		reason, admitted := set.Admitted(reference)
		if !admitted {
			reason = b.reason(root.Governance, beginning, entering)
		}
		if beginning && root.Governance == Enforced && reason == v1alpha1.AdmittedEnteredUngoverned {
			reason = v1alpha1.AdmittedPreExisting
		}
		if reason == "" || !template.Valid(reference) {
			continue
		}
		container := ""
		for _, image := range root.Template.Images {
			if image.Reference == reference {
				container = image.Container
				break
			}
		}
		add(record, v1alpha1.AdmittedImage{Reference: reference, Container: container, Time: *stamp(b.seen.Now), Reason: reason})
	}
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
// better later.
func add(record *v1alpha1.RolloutRecord, image v1alpha1.AdmittedImage) {
	at := slices.IndexFunc(record.Spec.Admitted, func(a v1alpha1.AdmittedImage) bool { return a.Reference == image.Reference })
	switch {
	case at < 0:
		record.Spec.Admitted = append(record.Spec.Admitted, image)
	case !record.Spec.Admitted[at].Reason.JoinsNamespace() && image.Reason.JoinsNamespace():
		record.Spec.Admitted[at] = image
	}
}

// settle trims a record, marks it unused or deletes it, and plans the write if anything has changed.
func (b *books) settle(name string, plan *Plan) {
	record := b.after[name]
	b.trim(record)
	used := b.present[name] || name == v1alpha1.RunOnceRecordName && b.seen.Inhabited
	if b.retire(record, used, plan) {
		return
	}
	if before, existed := b.before[name]; !existed || !equal(&before.Spec, &record.Spec) {
		plan.Write = append(plan.Write, *record)
	}
}

// retire keeps the time since when nothing uses a record and deletes it when its retention is over.
func (b *books) retire(record *v1alpha1.RolloutRecord, used bool, plan *Plan) (deleted bool) {
	if used {
		record.Spec.UnusedSince = nil
		return false
	}
	if record.Spec.UnusedSince == nil {
		record.Spec.UnusedSince = stamp(b.seen.Now)
	}
	end := record.Spec.UnusedSince.Add(Retention)
	if b.seen.Now.Before(end) {
		plan.NextChange = posture.Earliest(plan.NextChange, end)
		return false
	}
	plan.Delete = append(plan.Delete, record.Name)
	return true
}

func (b *books) settleEpoch(plan *Plan) {
	record := b.after[v1alpha1.EpochRecordName]
	if record == nil {
		if b.seen.Proof == nil {
			return
		}
		record = &v1alpha1.RolloutRecord{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.EpochRecordName, Namespace: b.seen.Namespace}}
	}
	if record.Spec.Epoch == nil {
		record.Spec.Epoch = &v1alpha1.Epoch{}
	}
	if proof := b.seen.Proof; proof != nil {
		record.Spec.Epoch.Proof, record.Spec.Epoch.Detail = proof.Proof, proof.Detail
		if !Begun(record.Spec.Epoch) {
			record.Spec.Epoch.EnforcedSince = proof.EnforcedSince
		}
	}
	switch {
	case !b.seen.Recovery:
		record.Spec.Epoch.RecoverySince = nil
	case record.Spec.Epoch.RecoverySince == nil:
		record.Spec.Epoch.RecoverySince = stamp(b.seen.Now)
	}
	if b.retire(record, b.seen.Inhabited, plan) {
		return
	}
	if before, existed := b.before[v1alpha1.EpochRecordName]; !existed || !equal(&before.Spec, &record.Spec) {
		plan.Write = append(plan.Write, *record)
	}
}

// trim keeps the newest admissions, and beyond the limit those that a template, an existing revision or a pod refers to.
func (b *books) trim(record *v1alpha1.RolloutRecord) {
	admitted := record.Spec.Admitted
	if len(admitted) > maxEntries {
		used := func(a v1alpha1.AdmittedImage) bool { return slices.Contains(b.inUse[record.Name], a.Reference) }
		slices.SortFunc(admitted, newestFirst)
		kept := slices.Clone(admitted[:maxEntries])
		for _, image := range admitted[maxEntries:] {
			if used(image) && len(kept) < maxInUse {
				kept = append(kept, image)
			}
		}
		record.Spec.Admitted = kept
	}
	slices.SortFunc(record.Spec.Admitted, func(x, y v1alpha1.AdmittedImage) int { return cmp.Compare(x.Reference, y.Reference) })
}

func stamp(instant time.Time) *metav1.Time {
	rounded := metav1.NewTime(instant.UTC().Truncate(time.Second))
	return &rounded
}

// equal compares two specs by meaning: an empty list is none, and times are compared as instants.
func equal(a, b *v1alpha1.RolloutRecordSpec) bool {
	return equality.Semantic.DeepEqual(a, b)
}
