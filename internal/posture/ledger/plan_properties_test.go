// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/ledger"
)

var (
	anyReason    = rapid.SampledFrom([]v1alpha1.AdmissionReason{"Fresh", "Exempt", "Warned", "PreExisting", "Audit", "Recovery", "EnteredUngoverned"})
	anyReference = rapid.SampledFrom([]string{"a:1", "a:2", "b:1", "b:2", "c:1", "bad reference"})
)

func anyImage(t *rapid.T) v1alpha1.AdmittedImage {
	return image(anyReference.Draw(t, "reference"), anyReason.Draw(t, "reason"), now.Add(-time.Duration(rapid.IntRange(0, 90).Draw(t, "days"))*24*time.Hour))
}

// anyObservation is a namespace in any state: roots that come, go and change hands, records that were trimmed, restored or half written.
func anyObservation(t *rapid.T) ledger.Observation {
	observation := ledger.Observation{
		Namespace: namespace, Now: now, Inhabited: rapid.Bool().Draw(t, "inhabited"), Recovery: rapid.Bool().Draw(t, "recovery"),
		Proof: rapid.SampledFrom([]*v1alpha1.Epoch{nil, proven(now), {Proof: v1alpha1.ReasonCanaryBlocked, Detail: "quota"}}).Draw(t, "proof"),
	}
	seenNames := map[string]bool{}
	for range rapid.IntRange(0, 6).Draw(t, "roots") {
		kind := rapid.SampledFrom([]string{"Deployment", "Deployment", "CronJob", "Job", "Pod"}).Draw(t, "kind")
		name := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "name")
		if seenNames[kind+name] {
			continue
		}
		seenNames[kind+name] = true
		observed := rootOf(kind, name, rapid.SliceOfN(anyReference, 0, 3).Draw(t, "template")...)
		observed = using(observed, rapid.SliceOfN(anyReference, 0, 3).Draw(t, "in use")...)
		observed = governed(observed, ledger.Governance(rapid.IntRange(0, 2).Draw(t, "governance")))
		if rapid.Bool().Draw(t, "annotated") {
			observed = annotated(observed, rapid.SliceOfN(rapid.Custom(anyImage), 0, 3).Draw(t, "annotation")...)
		}
		observation.Roots = append(observation.Roots, observed)
	}
	for _, name := range []string{"deployment-x", "deployment-y", "cronjob-x", "run-once"} {
		if !rapid.Bool().Draw(t, "has "+name) {
			continue
		}
		stored := record(name, distinct(rapid.SliceOfN(rapid.Custom(anyImage), 0, 4).Draw(t, "admitted"))...)
		if rapid.Bool().Draw(t, "ungoverned") {
			stored.Spec.GovernedSince = nil
			if stored.Spec.Root == nil && len(stored.Spec.Admitted) == 0 {
				continue
			}
		}
		if rapid.Bool().Draw(t, "unused") {
			since := v1alpha1.RolloutRecordSpec{GovernedSince: proven(now.Add(-time.Duration(rapid.IntRange(0, 40).Draw(t, "unused days")) * 24 * time.Hour)).EnforcedSince}
			stored.Spec.UnusedSince = since.GovernedSince
		}
		observation.Records = append(observation.Records, stored)
	}
	if rapid.Bool().Draw(t, "has epoch") {
		stored := epoch()
		if rapid.Bool().Draw(t, "not begun") {
			stored.Spec.Epoch.EnforcedSince = nil
		}
		observation.Records = append(observation.Records, stored)
	}
	return observation
}

func distinct(images []v1alpha1.AdmittedImage) []v1alpha1.AdmittedImage {
	known := map[string]bool{"bad reference": true}
	return slices.DeleteFunc(images, func(a v1alpha1.AdmittedImage) bool {
		defer func() { known[a.Reference] = true }()
		return known[a.Reference]
	})
}

func TestPlanningAgainChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		observation := anyObservation(t)
		after := observation
		after.Records = apply(observation.Records, ledger.PlanRecords(observation))
		// The proof was written down. If the epoch had not begun before, it has now, and PreExisting is not given again.
		if plan := ledger.PlanRecords(after); len(plan.Write)+len(plan.Delete) > 0 {
			t.Fatalf("planned again: %s", encoded(plan))
		}
		after.Proof = nil
		if plan := ledger.PlanRecords(after); len(plan.Write)+len(plan.Delete) > 0 {
			t.Fatalf("planned again without proof: %s", encoded(plan))
		}
	})
}

func TestThePlanDoesNotDependOnTheOrderOfCaches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		observation := anyObservation(t)
		shuffled := observation
		if len(observation.Roots) > 0 {
			shuffled.Roots = rapid.Permutation(observation.Roots).Draw(t, "roots")
		}
		if len(observation.Records) > 0 {
			shuffled.Records = rapid.Permutation(observation.Records).Draw(t, "records")
		}
		if diff := cmp.Diff(ledger.PlanRecords(observation), ledger.PlanRecords(shuffled), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-as drawn +shuffled):\n%s", diff)
		}
	})
}

func TestAPlanKeepsWhatIsWrittenDown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		observation := anyObservation(t)
		input := encoded(observation.Records)
		plan := ledger.PlanRecords(observation)
		if encoded(observation.Records) != input {
			t.Fatal("the plan has changed its input")
		}
		for i, written := range plan.Write {
			if err := writable(&written); err != nil {
				t.Fatal(err)
			}
			if written.Name == v1alpha1.EpochRecordName && i != len(plan.Write)-1 {
				t.Fatal("the epoch is not written last")
			}
		}
		begun := ledger.Begun(ledger.EpochOf(observation.Records))
		after := apply(observation.Records, plan)
		for _, before := range observation.Records {
			at := slices.IndexFunc(after, func(r v1alpha1.RolloutRecord) bool { return r.Name == before.Name })
			if at < 0 {
				if before.Spec.UnusedSince == nil {
					t.Fatalf("record %s is deleted at once", before.Name)
				}
				continue
			}
			mustKeep(t, before.Spec.Admitted, after[at].Spec.Admitted)
		}
		for _, written := range plan.Write {
			if begun {
				mustNotInvent(t, observation, written)
			}
		}
	})
}

// mustKeep: nothing is dropped from a record that is not full, and nothing that counts for the namespace is taken back.
func mustKeep(t *rapid.T, before, after []v1alpha1.AdmittedImage) {
	for _, image := range before {
		at := slices.IndexFunc(after, func(a v1alpha1.AdmittedImage) bool { return a.Reference == image.Reference })
		switch {
		case at < 0:
			t.Fatalf("%s is dropped", image.Reference)
		case image.Reason.JoinsNamespace() && !cmp.Equal(image, after[at]):
			t.Fatalf("%v becomes %v", image, after[at])
		}
	}
}

// mustNotInvent: once the epoch has begun, nothing counts for the namespace that did not before in a record or an annotation.
func mustNotInvent(t *rapid.T, observation ledger.Observation, written v1alpha1.RolloutRecord) {
	known := map[string]bool{}
	for _, stored := range observation.Records {
		for _, image := range stored.Spec.Admitted {
			known[fmt.Sprint(image.Reference, image.Reason)] = true
		}
	}
	for _, root := range observation.Roots {
		for _, image := range ledger.Admissions(root.Annotations) {
			known[fmt.Sprint(image.Reference, image.Reason)] = true
		}
	}
	for _, image := range written.Spec.Admitted {
		if image.Reason.JoinsNamespace() && !known[fmt.Sprint(image.Reference, image.Reason)] {
			t.Fatalf("%s has %s as %s, which nobody has admitted", written.Name, image.Reference, image.Reason)
		}
	}
}
