// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/ledger"
)

func TestOnlyFreshPreExistingAndWarnedCountForTheNamespace(t *testing.T) {
	joins := map[v1alpha1.AdmissionReason]bool{
		v1alpha1.AdmittedFresh: true, v1alpha1.AdmittedPreExisting: true, v1alpha1.AdmittedWarned: true,
		v1alpha1.AdmittedExempt: false, v1alpha1.AdmittedAudit: false, v1alpha1.AdmittedRecovery: false, v1alpha1.AdmittedEnteredUngoverned: false,
	}
	for reason, want := range joins {
		t.Run(string(reason), func(t *testing.T) {
			known := image("lis:1", reason, now)
			known.Digest = "sha256:" + strings.Repeat("ab", 32)
			records := []v1alpha1.RolloutRecord{record("deployment-lis", known)}
			if _, got := ledger.NewSet(nil, []string{"deployment-other"}, records).Admitted("lis:1"); got != want {
				t.Errorf("admitted for another root: %t, want %t", got, want)
			}
			if got, admitted := ledger.NewSet(nil, []string{"deployment-lis"}, records).Admitted("lis:1"); !admitted || got != reason {
				t.Errorf("admitted for its own root: %t %s", admitted, got)
			}
			shared := []v1alpha1.RolloutRecord{record(v1alpha1.RunOnceRecordName, known)}
			if _, got := ledger.NewSet(nil, []string{v1alpha1.RunOnceRecordName}, shared).Admitted("lis:1"); got != want {
				t.Errorf("admitted by the record of Jobs and bare pods: %t, want %t", got, want)
			}
		})
	}
}

func TestWhatNobodyKnewTheMeaningOfCountsForItsOwnRootAlone(t *testing.T) {
	records := []v1alpha1.RolloutRecord{record("deployment-lis", image("lis:next", v1alpha1.AdmittedWarned, now))}
	if _, admitted := ledger.NewSet(nil, []string{"deployment-other"}, records).Admitted("lis:next"); admitted {
		t.Error("whatever is pushed under the reference later is admitted for another root")
	}
	if _, admitted := ledger.NewSet(nil, []string{"deployment-lis"}, records).Admitted("lis:next"); !admitted {
		t.Error("its own root does not have it")
	}
}

func TestTheZeroSetAdmitsNothing(t *testing.T) {
	var set ledger.Set
	if reason, admitted := set.Admitted("lis:1"); admitted || reason != "" {
		t.Errorf("admitted %t with reason %q", admitted, reason)
	}
	if last := set.Last(nil); last != "" {
		t.Errorf("last is %s", last)
	}
}

func TestTheReasonDoesNotDependOnTheOrderOfRecords(t *testing.T) {
	records := []v1alpha1.RolloutRecord{
		record("deployment-a", image("lis:1", v1alpha1.AdmittedWarned, now)),
		record("deployment-b", image("lis:1", v1alpha1.AdmittedFresh, now)),
		record("deployment-c", image("lis:1", v1alpha1.AdmittedPreExisting, now)),
	}
	for range 3 {
		records = append(records[1:], records[0])
		if reason, _ := ledger.NewSet(nil, nil, records).Admitted("lis:1"); reason != v1alpha1.AdmittedFresh {
			t.Errorf("shared reason is %s, want Fresh", reason)
		}
		if reason, _ := ledger.NewSet(nil, []string{"deployment-a", "deployment-c"}, records).Admitted("lis:1"); reason != v1alpha1.AdmittedPreExisting {
			t.Errorf("own reason is %s, want PreExisting of the two own records", reason)
		}
	}
}

func TestWhatStandsInTheAnnotationCounts(t *testing.T) {
	annotations := ledger.Annotations([]v1alpha1.AdmittedImage{image("lis:1", v1alpha1.AdmittedExempt, now)}, ledger.Set{}, []string{"lis:0"})
	set := ledger.NewSet(annotations, []string{"deployment-lis"}, []v1alpha1.RolloutRecord{record("deployment-lis", image("lis:1", v1alpha1.AdmittedAudit, now))})
	if reason, _ := set.Admitted("lis:1"); reason != v1alpha1.AdmittedExempt {
		t.Errorf("lis:1 is %s, want what says more for it", reason)
	}
	if reason, _ := set.Admitted("lis:0"); reason != v1alpha1.AdmittedEnteredUngoverned {
		t.Errorf("lis:0 is %s: only its reference is known", reason)
	}
	if _, admitted := set.Admitted("lis"); admitted {
		t.Error("a part of a reference is admitted")
	}
}

func TestLastIsTheNewestOfTheRootItself(t *testing.T) {
	records := []v1alpha1.RolloutRecord{
		record("deployment-lis", image("lis:1", v1alpha1.AdmittedFresh, now.Add(-time.Hour)), image("lis:2", v1alpha1.AdmittedFresh, now),
			image("lis:3", v1alpha1.AdmittedFresh, now)),
		record("deployment-other", image("other:1", v1alpha1.AdmittedFresh, now.Add(time.Hour))),
	}
	set := ledger.NewSet(nil, []string{"deployment-lis"}, records)
	got := []string{set.Last(nil), set.Last([]string{"lis:2"}), set.Last([]string{"lis:2", "lis:3"}), set.Last([]string{"lis:1", "lis:2", "lis:3"})}
	if diff := cmp.Diff([]string{"lis:2", "lis:3", "lis:1", ""}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
