// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/ledger"
)

// held gives a root the marker of a hold.
func held(observed ledger.ObservedRoot) ledger.ObservedRoot {
	copied := *observed.Root
	copied.Annotations = map[string]string{v1alpha1.HoldAnnotation: `{"paused":null}`}
	observed.Root = &copied
	return observed
}

func TestWhatAHeldRootDeclaresIsNotTakenForWhatItRuns(t *testing.T) {
	for name, observation := range map[string]ledger.Observation{
		"in an epoch":               seen(held(using(root("lis", "lis:2"), "lis:1"))),
		"when the epoch begins":     beginning(held(using(root("lis", "lis:2"), "lis:1"))),
		"under Audit":               seen(governed(held(using(root("lis", "lis:2"), "lis:1")), ledger.Audited)),
		"while it enters the books": seen(held(using(root("new", "lis:2"), "lis:1"))),
	} {
		for _, found := range apply(observation.Records, ledger.PlanRecords(observation)) {
			for _, image := range found.Spec.Admitted {
				if image.Reference == "lis:2" {
					t.Errorf("%s: record %s admits the held image as %s", name, found.Name, image.Reason)
				}
			}
		}
	}
}

func TestARecordSaysWhatItsRootWaitsForAndSinceWhen(t *testing.T) {
	observation := seen(held(root("lis", "lis:2", "sidecar:1", "lis:2")), root("other", "other:1"))
	observation.Records = append(observation.Records, record("deployment-lis", image("sidecar:1", v1alpha1.AdmittedFresh, now)))
	first := next(observation)
	lis := find(t, first.Records, "deployment-lis")
	want := &v1alpha1.Hold{Since: metav1.NewTime(now), Images: []string{"lis:2"}}
	if diff := cmp.Diff(want, lis.Spec.Held); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if other := find(t, first.Records, "deployment-other"); other.Spec.Held != nil {
		t.Errorf("the other root is held: %+v", other.Spec.Held)
	}
	if epoch := find(t, first.Records, v1alpha1.EpochRecordName); epoch.Spec.Epoch.Held != 1 {
		t.Errorf("the epoch counts %d", epoch.Spec.Epoch.Held)
	}
	later := first
	later.Now = now.Add(time.Hour)
	if plan := ledger.PlanRecords(later); len(plan.Write) > 0 {
		t.Errorf("an hour later there is something to write: %+v", plan.Write)
	}
	released := first
	released.Roots = []ledger.ObservedRoot{annotated(root("lis", "lis:2", "sidecar:1"), image("lis:2", v1alpha1.AdmittedFresh, now)), root("other", "other:1")}
	after := next(released)
	if lis := find(t, after.Records, "deployment-lis"); lis.Spec.Held != nil || len(lis.Spec.Admitted) != 2 {
		t.Errorf("after the release: %+v", lis.Spec)
	}
	if epoch := find(t, after.Records, v1alpha1.EpochRecordName); epoch.Spec.Epoch.Held != 0 {
		t.Errorf("the epoch counts %d", epoch.Spec.Epoch.Held)
	}
}

func TestHeldJobsAndPodsShareANoteThatIsBounded(t *testing.T) {
	var roots []ledger.ObservedRoot
	for i := range 20 {
		roots = append(roots, held(rootOf("Job", fmt.Sprintf("job-%d", i), fmt.Sprintf("image:%02d", i))))
	}
	found := find(t, next(seen(roots...)).Records, v1alpha1.RunOnceRecordName)
	if found.Spec.Held == nil || len(found.Spec.Held.Images) != 10 {
		t.Errorf("%+v", found.Spec.Held)
	}
}

func TestAHeldRootWithoutAnEpochIsCountedAllTheSame(t *testing.T) {
	observation := ledger.Observation{Namespace: namespace, Roots: []ledger.ObservedRoot{held(governed(root("lis", "lis:2"), ledger.Ungoverned))}, Now: now}
	plan := ledger.PlanRecords(observation)
	if len(plan.Write) != 1 || plan.Write[0].Spec.Epoch == nil || plan.Write[0].Spec.Epoch.Held != 1 {
		t.Errorf("%+v", plan.Write)
	}
}

func TestWhatIsHeldThoughAControllerOwnsItKeepsTheNamespaceListed(t *testing.T) {
	observation := seen(held(root("lis", "lis:2")))
	observation.HeldOwned = 2
	if epoch := find(t, next(observation).Records, v1alpha1.EpochRecordName); epoch.Spec.Epoch.Held != 3 {
		t.Errorf("the epoch counts %d", epoch.Spec.Epoch.Held)
	}
}
