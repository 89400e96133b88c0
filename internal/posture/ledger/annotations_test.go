// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/ledger"
)

func TestAnnotationsComeBackAsTheyWereWritten(t *testing.T) {
	admit := []v1alpha1.AdmittedImage{
		{Reference: "lab/lis:2", Container: "app", Digest: "sha256:abc", Reason: v1alpha1.AdmittedFresh, Time: metav1.NewTime(now)},
		{Reference: "lab/proxy:1", Container: "volume tools", Reason: v1alpha1.AdmittedWarned, Time: metav1.NewTime(now)},
	}
	annotations := ledger.Annotations(admit, ledger.Set{}, nil)
	if diff := cmp.Diff([]string{"lab/lis:2", "lab/proxy:1"}, ledger.References(annotations)); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(admit, ledger.Admissions(annotations)); diff != "" {
		t.Errorf("admissions (-want +got):\n%s", diff)
	}
}

func TestAnnotationsListThisWriteThenTheNewestThenEarlierOnes(t *testing.T) {
	set := ledger.NewSet(nil, []string{"deployment-lis"}, []v1alpha1.RolloutRecord{record("deployment-lis",
		image("lis:1", v1alpha1.AdmittedPreExisting, now.Add(-3*time.Hour)),
		image("lis:3", v1alpha1.AdmittedFresh, now.Add(-time.Hour)),
		image("lis:2", v1alpha1.AdmittedFresh, now.Add(-2*time.Hour)),
	), record("deployment-other", image("other:1", v1alpha1.AdmittedFresh, now))})
	annotations := ledger.Annotations([]v1alpha1.AdmittedImage{image("lis:4", v1alpha1.AdmittedFresh, now)}, set, []string{"lis:0", "lis:3"})
	if diff := cmp.Diff([]string{"lis:4", "lis:3", "lis:2", "lis:1", "lis:0"}, ledger.References(annotations)); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
	var carried []string
	for _, admitted := range ledger.Admissions(annotations) {
		carried = append(carried, admitted.Reference)
	}
	if diff := cmp.Diff([]string{"lis:4", "lis:3", "lis:2", "lis:1"}, carried); diff != "" {
		t.Errorf("a reference that nobody can say more of has no admission (-want +got):\n%s", diff)
	}
}

func TestAnnotationsKeepTheTimeAndTheDigestOfAnEarlierAdmission(t *testing.T) {
	known := image("lis:1", v1alpha1.AdmittedFresh, now.Add(-90*24*time.Hour))
	known.Digest = "sha256:abc"
	old := ledger.Annotations([]v1alpha1.AdmittedImage{known}, ledger.Set{}, nil)
	again := image("lis:1", v1alpha1.AdmittedFresh, now)
	annotations := ledger.Annotations([]v1alpha1.AdmittedImage{again}, ledger.NewSet(old, nil, nil), ledger.References(old))
	if diff := cmp.Diff([]v1alpha1.AdmittedImage{known}, ledger.Admissions(annotations)); diff != "" {
		t.Errorf("an admission is recorded once (-want +got):\n%s", diff)
	}
}

func TestAnnotationsCarryNoAdmissionWithoutATime(t *testing.T) {
	// The list of references says that lis:1 was admitted, and nothing says when: a record would not take it.
	old := map[string]string{v1alpha1.AdmittedAnnotation: "lis:1"}
	set := ledger.NewSet(old, nil, nil)
	if reason, admitted := set.Admitted("lis:1"); !admitted || reason != v1alpha1.AdmittedEnteredUngoverned {
		t.Errorf("lis:1 is admitted %t with reason %q", admitted, reason)
	}
	annotations := ledger.Annotations([]v1alpha1.AdmittedImage{image("lis:2", v1alpha1.AdmittedFresh, now)}, set, ledger.References(old))
	if got := ledger.Admissions(annotations); len(got) != 1 || got[0].Reference != "lis:2" {
		t.Errorf("got %v, want lis:2 alone", got)
	}
	if !slices.Contains(ledger.References(annotations), "lis:1") {
		t.Error("lis:1 is no longer in the list for the match conditions")
	}
	if strings.Contains(annotations[v1alpha1.AdmissionsAnnotation], "lis:1") {
		t.Errorf("lis:1 is carried: %s", annotations[v1alpha1.AdmissionsAnnotation])
	}
}

func TestAnnotationsCarryAtMostTwentyEarlierAdmissions(t *testing.T) {
	var images []v1alpha1.AdmittedImage
	for i := range 60 {
		images = append(images, image(fmt.Sprintf("lis:%d", i), v1alpha1.AdmittedFresh, now.Add(time.Duration(i)*time.Second)))
	}
	set := ledger.NewSet(nil, []string{"deployment-lis"}, []v1alpha1.RolloutRecord{record("deployment-lis", images...)})
	annotations := ledger.Annotations([]v1alpha1.AdmittedImage{image("new:1", v1alpha1.AdmittedFresh, now)}, set, nil)
	if got := len(ledger.Admissions(annotations)); got != 21 {
		t.Errorf("%d admissions, want the new one and 20", got)
	}
	if got := ledger.Admissions(annotations)[1].Reference; got != "lis:59" {
		t.Errorf("the first carried is %s, want the newest", got)
	}
	if got := len(ledger.References(annotations)); got != 61 {
		t.Errorf("%d references, want all 61", got)
	}
}

// A pod template may name more images than the list for the match conditions has room for. It must not be refused for that.
func TestEveryImageOfAHugeTemplateIsCarried(t *testing.T) {
	var admit []v1alpha1.AdmittedImage
	for i := range 100 {
		admit = append(admit, image(fmt.Sprintf("registry.lab.example/%s/app%03d:1", strings.Repeat("x", 100), i), v1alpha1.AdmittedFresh, now))
	}
	annotations := ledger.Annotations(admit, ledger.Set{}, nil)
	if size := len(annotations[v1alpha1.AdmittedAnnotation]); size > 8<<10 {
		t.Errorf("the list has %d bytes", size)
	}
	for _, one := range admit {
		if !ledger.Carries(annotations, one.Reference) {
			t.Errorf("%s is in neither annotation", one.Reference)
		}
	}
	if ledger.Carries(annotations, "other:1") {
		t.Error("an image that was not admitted is carried")
	}
}

func TestAnnotationsAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		images := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) v1alpha1.AdmittedImage {
			return v1alpha1.AdmittedImage{
				Reference: rapid.OneOf(rapid.StringMatching(`[a-z]{1,3}:[0-9]`), rapid.StringN(0, 40, 1100), rapid.StringOfN(rapid.RuneFrom([]rune("ab/")), 900, 1024, -1)).Draw(t, "reference"),
				Container: rapid.StringN(0, 20, 300).Draw(t, "container"),
				Reason:    rapid.SampledFrom([]v1alpha1.AdmissionReason{"Fresh", "Exempt", "Bogus", ""}).Draw(t, "reason"),
				Time:      metav1.NewTime(now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "seconds")) * time.Second)),
			}
		}), 0, 40)
		admit := images.Draw(t, "admit")
		earlier := rapid.SliceOfN(rapid.StringN(0, 10, 2000), 0, 20).Draw(t, "earlier")
		set := ledger.NewSet(nil, []string{"deployment-lis"}, []v1alpha1.RolloutRecord{record("deployment-lis", images.Draw(t, "own")...)})
		annotations := ledger.Annotations(admit, set, earlier)
		list := annotations[v1alpha1.AdmittedAnnotation]
		if len(list) > 8<<10 {
			t.Fatalf("the list has %d bytes", len(list))
		}
		if len(annotations[v1alpha1.AdmissionsAnnotation]) > 128<<10 {
			t.Fatalf("the admissions have %d bytes", len(annotations[v1alpha1.AdmissionsAnnotation]))
		}
		// What the match conditions split at spaces is what we split at white space.
		if list != "" && !slices.Equal(strings.Split(list, " "), ledger.References(annotations)) {
			t.Fatalf("the list splits in two ways: %q", list)
		}
		unique := slices.Clone(ledger.References(annotations))
		slices.Sort(unique)
		if len(slices.Compact(unique)) != len(ledger.References(annotations)) {
			t.Fatalf("a reference is listed twice: %q", list)
		}
		for _, admitted := range ledger.Admissions(annotations) {
			one := record("x", admitted)
			if err := writable(&one); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestAdmissionsThatARecordWouldNotTakeAreNone(t *testing.T) {
	tests := map[string]string{
		"absent":                           ``,
		"no JSON":                          `lis:1`,
		"an object":                        `{"reference":"lis:1"}`,
		"null":                             `null`,
		"a number as reference":            `[{"reference":1,"reason":"Fresh","time":"2026-01-01T00:00:00Z"}]`,
		"a reason that does not exist":     `[{"reference":"lis:1","reason":"Because","time":"2026-01-01T00:00:00Z"}]`,
		"no reason":                        `[{"reference":"lis:1","time":"2026-01-01T00:00:00Z"}]`,
		"no time":                          `[{"reference":"lis:1","reason":"Fresh"}]`,
		"a time that is none":              `[{"reference":"lis:1","reason":"Fresh","time":"soon"}]`,
		"white space in the reference":     `[{"reference":"lis:1 evil:1","reason":"Fresh","time":"2026-01-01T00:00:00Z"}]`,
		"no reference":                     `[{"reason":"Fresh","time":"2026-01-01T00:00:00Z"}]`,
		"a container name of 300":          `[{"reference":"lis:1","reason":"Fresh","time":"2026-01-01T00:00:00Z","container":"` + strings.Repeat("c", 300) + `"}]`,
		"a digest of 300":                  `[{"reference":"lis:1","reason":"Fresh","time":"2026-01-01T00:00:00Z","digest":"` + strings.Repeat("c", 300) + `"}]`,
		"a reference of 1025":              `[{"reference":"` + strings.Repeat("c", 1025) + `","reason":"Fresh","time":"2026-01-01T00:00:00Z"}]`,
		"more than 128 KiB":                `[{"reference":"lis:1","reason":"Fresh","time":"2026-01-01T00:00:00Z"}` + strings.Repeat(" ", 128<<10) + `]`,
		"nested deeper than anybody needs": strings.Repeat("[", 100_000),
	}
	for name, value := range tests {
		t.Run(name, func(t *testing.T) {
			if got := ledger.Admissions(map[string]string{v1alpha1.AdmissionsAnnotation: value}); len(got) != 0 {
				t.Errorf("got %v", got)
			}
		})
	}
	good := `[{"reference":"lis:1","reason":"Because","time":"2026-01-01T00:00:00Z"},{"reference":"lis:2","reason":"Fresh","time":"2026-01-01T00:00:00Z"}]`
	if got := ledger.Admissions(map[string]string{v1alpha1.AdmissionsAnnotation: good}); len(got) != 1 || got[0].Reference != "lis:2" {
		t.Errorf("one bad admission hides the others: %v", got)
	}
}

func FuzzAdmissions(f *testing.F) {
	f.Add("lis:1 lis:2", `[{"reference":"lis:1","reason":"Fresh","time":"2026-01-01T00:00:00Z"}]`)
	f.Add("\u00a0", `[{"reference":"a\u00a0b","reason":"Fresh","time":"2026-01-01T00:00:00Z"},null,{}]`)
	f.Add("", `[[[[`)
	f.Fuzz(func(t *testing.T, references, admissions string) {
		forged := map[string]string{v1alpha1.AdmittedAnnotation: references, v1alpha1.AdmissionsAnnotation: admissions}
		observed := annotated(root("lis", "lis:1"))
		observed.Annotations = forged
		for _, governance := range []ledger.Governance{ledger.Ungoverned, ledger.Audited, ledger.Enforced} {
			observation := seen(governed(observed, governance), governed(rootOf("Pod", "bare", "lis:1"), governance))
			for _, written := range ledger.PlanRecords(observation).Write {
				if err := writable(&written); err != nil {
					t.Error(err)
				}
			}
			if again := ledger.PlanRecords(next(observation)); len(again.Write) > 0 {
				t.Errorf("planning again writes %s", encoded(again.Write))
			}
		}
		set := ledger.NewSet(forged, nil, nil)
		rewritten := ledger.Annotations(nil, set, ledger.References(forged))
		if len(rewritten[v1alpha1.AdmittedAnnotation]) > 8<<10 {
			t.Errorf("the list grows to %d bytes", len(rewritten[v1alpha1.AdmittedAnnotation]))
		}
	})
}
