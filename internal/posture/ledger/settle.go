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
)

// settle trims a record, marks it unused or deletes it, and plans the write if anything has changed.
func (b *books) settle(name string, plan *Plan) {
	record := b.after[name]
	b.trim(record)
	used := b.present[name] || name == v1alpha1.RunOnceRecordName && b.seen.Inhabited
	if b.retire(record, used, plan) {
		return
	}
	before, existed := b.before[name]
	if !existed && equal(&record.Spec, &v1alpha1.RolloutRecordSpec{}) {
		return // nothing to say, such as about pods whose images no runtime can pull
	}
	if !existed || !equal(&before.Spec, &record.Spec) {
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

// settleEpoch keeps what was proven, and since when the namespace is in recovery, which counts also where nothing has been proven yet.
func (b *books) settleEpoch(plan *Plan) {
	record := b.after[v1alpha1.EpochRecordName]
	if record == nil {
		if b.seen.Proof == nil && !b.seen.Recovery && b.held == 0 {
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
	record.Spec.Epoch.Held = b.held
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
	if len(record.Spec.Admitted) > maxEntries {
		record.Spec.Admitted = b.kept(record)
	}
	slices.SortFunc(record.Spec.Admitted, func(x, y v1alpha1.AdmittedImage) int { return cmp.Compare(x.Reference, y.Reference) })
}

// kept is what stays of too many admissions. A namespace in which every Job has an image of its own may use more than a record takes:
// then what was inferred gives way, else each plan would infer anew what the last one dropped.
func (b *books) kept(record *v1alpha1.RolloutRecord) []v1alpha1.AdmittedImage {
	admitted := slices.SortedFunc(slices.Values(record.Spec.Admitted), newestFirst)
	var used, unused []v1alpha1.AdmittedImage
	for i, image := range admitted {
		switch {
		case b.inUse[record.Name][image.Reference]:
			used = append(used, image)
		case i < maxEntries:
			unused = append(unused, image)
		}
	}
	slices.SortStableFunc(used, func(x, y v1alpha1.AdmittedImage) int {
		return cmp.Compare(rank(b.inferred[record.Name][x.Reference]), rank(b.inferred[record.Name][y.Reference]))
	})
	used = used[:min(len(used), maxInUse)]
	return append(used, unused[:min(len(unused), maxInUse-len(used))]...)
}

func rank(last bool) int {
	if last {
		return 1
	}
	return 0
}

func stamp(instant time.Time) *metav1.Time {
	rounded := metav1.NewTime(instant.UTC().Truncate(time.Second))
	return &rounded
}

// equal compares two specs by meaning: an empty list is none, and times are compared as instants.
func equal(a, b *v1alpha1.RolloutRecordSpec) bool {
	return equality.Semantic.DeepEqual(a, b)
}
