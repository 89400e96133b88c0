// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package forecast_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/forecast"
	"github.com/labguard/labguard/internal/plugin/tree"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/training"
	"github.com/labguard/labguard/internal/testutil/golden"
)

var noon = time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)

func in(days int) *metav1.Time { return &metav1.Time{Time: noon.AddDate(0, 0, days)} }

func digest(of string) string { return "sha256:" + strings.Repeat(of, 64) }

func exempt(pattern string, days int) v1alpha1.ImageExemption {
	return v1alpha1.ImageExemption{Pattern: pattern, Reason: "vendor", Expires: *in(days)}
}

func lab() forecast.Facts {
	lis := v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis"}}
	lis.Spec = v1alpha1.LabWorkloadSpec{
		Enforcement: v1alpha1.EnforcementEnforce, EnforceAfter: "2026-12-01", Training: &v1alpha1.TrainingSpec{Courses: []v1alpha1.Course{"phishing-basics"}, MaxAge: "8760h"},
		Images: &v1alpha1.ImagesSpec{MaxAge: "2160h", MinAge: "72h", Exempt: []v1alpha1.ImageExemption{
			exempt("registry.example/vendor/old", 3), exempt("registry.example/vendor/new", 4), exempt("registry.example/vendor/odd", 5), exempt("registry.example/gone/*", 6), exempt("registry.example/later/*", 60),
		}},
		Encryption: &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{Ports: []v1alpha1.TransitPort{{Name: "mllp", AllowFrom: []v1alpha1.IngressPeer{
			{Plaintext: &v1alpha1.PlaintextException{Reason: "analyser without TLS", Expires: *in(7)}}, {},
		}}}}},
	}
	lis.Status = v1alpha1.LabWorkloadStatus{
		ImageCount: 7, Certificate: &v1alpha1.CertificateStatus{SecretName: "lis-tls", NotAfter: in(20), RenewalTime: in(10)},
		Images: []v1alpha1.ImageStatus{
			{Reference: "registry.example/lab/lis:1.8", Answer: "Stale", StaleAt: in(-1)},
			{Reference: "registry.example/lab/lis:2.4", Answer: "Fresh", StaleAt: in(10), Pods: 2, Fresher: digest("f")},
			{Reference: "registry.example/lab/shim:1", Answer: "Fresh", StaleAt: in(10), Declared: true, Fresher: "None"},
			{Reference: "registry.example/lab/lis:2.5", Answer: "TooYoung", Created: in(-1), StaleAt: in(89)},
			{Reference: "registry.example/vendor/old:1", Answer: "Exempt", Digest: digest("a")},
			{Reference: "registry.example/vendor/new:1", Answer: "Exempt", Digest: digest("b")},
			{Reference: "registry.example/vendor/odd:1", Answer: "Exempt", Digest: digest("c")},
		},
	}
	late := v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "chemistry", Name: "gw"}}
	late.Status.Certificate = &v1alpha1.CertificateStatus{SecretName: "gw-tls", NotAfter: in(2), RenewalTime: in(-1)}
	record := func(subject string, days int) training.Record {
		return training.Record{Subject: subject, Issuer: "https://login.lab.example", Course: "phishing-basics", Completed: in(days).Time}
	}
	return forecast.Facts{
		Workloads: []v1alpha1.LabWorkload{lis, late}, Now: noon,
		Trainings: training.NewIndex([]training.Record{record("ann", -360), record("ben", -360), record("eve", -10), record("dan", -400)}),
		Content: func(of string) (posture.Content, bool) {
			made := map[string]time.Time{digest("a"): in(-400).Time, digest("b"): in(-4).Time}[of]
			return posture.Content{Digest: of, ConfigCreated: made}, !made.IsZero()
		},
	}
}

func TestWhatTimeChangesIsToldInOrder(t *testing.T) {
	t.Parallel()
	found := forecast.Of(lab(), noon.AddDate(0, 0, 30))
	if !slices.IsSortedFunc(found, func(a, b forecast.Change) int { return a.At.Compare(b.At) }) {
		t.Error("it is not in order")
	}
	golden.Text(t, "piped", tree.Paper{}.Table(forecast.Header(), forecast.Rows(found, noon)))
	golden.Text(t, "terminal", tree.Paper{Colour: true, Lines: true, Unicode: true, Width: 150}.Table(forecast.Header(), forecast.Rows(found, noon)))
	golden.YAML(t, "programs", found)
}

func TestTheEndIsAnEnd(t *testing.T) {
	t.Parallel()
	for days, want := range map[int]int{0: 0, 2: 2, 3: 3, 60: 13, 100: 15} {
		found := forecast.Of(lab(), noon.AddDate(0, 0, days))
		if len(found) != want {
			t.Errorf("in %d days there are %d changes, want %d: %+v", days, len(found), want, found)
		}
		for _, one := range found {
			if !one.At.After(noon) || one.At.After(noon.AddDate(0, 0, days)) {
				t.Errorf("in %d days: %+v", days, one)
			}
		}
	}
}

// The status of an exempt image does not say when it turns stale.
func TestAnImageTurnsStaleAfterItsExemption(t *testing.T) {
	t.Parallel()
	facts := lab()
	lw := &facts.Workloads[0]
	lw.Spec.Images.Exempt = []v1alpha1.ImageExemption{exempt("registry.example/vendor/*", 3)}
	lw.Status.Images = []v1alpha1.ImageStatus{{Reference: "registry.example/vendor/x:1", Answer: posture.ImageExempt, Digest: digest("a"), Pods: 1}}
	facts.Workloads = facts.Workloads[:1]
	facts.Content = func(of string) (posture.Content, bool) {
		return posture.Content{Digest: of, ConfigCreated: in(-80).Time}, true
	}
	say := func() (lines []string) {
		for _, one := range forecast.Of(facts, noon.AddDate(0, 0, 30)) {
			if one.What == forecast.ImageStale || one.What == forecast.ExemptionEnds {
				lines = append(lines, fmt.Sprintf("%s %s %s harmless=%t", one.At.Format(time.DateOnly), one.What, one.Note, one.Harmless))
			}
		}
		return lines
	}
	want := []string{"2026-11-29 ExemptionEnds 1 image is fresh then harmless=true", "2026-12-06 ImageStale runs in 1 pod harmless=false"}
	if got := say(); !slices.Equal(got, want) {
		t.Errorf("it says %q, want %q", got, want)
	}
	lw.Spec.Images.Exempt = append(lw.Spec.Images.Exempt, exempt("registry.example/vendor/x", 40))
	want = []string{"2026-11-29 ExemptionEnds another one covers 1 of 1 image then harmless=true"}
	if got := say(); !slices.Equal(got, want) {
		t.Errorf("with another exemption it says %q, want %q", got, want)
	}
}

func TestAnAnswerThatIsOverdueIsTold(t *testing.T) {
	t.Parallel()
	for past, want := range map[time.Duration]int{-time.Hour: 0, 4 * time.Minute: 0, 6 * time.Minute: 1, 6 * 24 * time.Hour: 1} {
		facts := lab()
		facts.Workloads[1].Status.NextChangeAt = &metav1.Time{Time: noon.Add(-past)}
		found := forecast.Of(facts, noon.AddDate(0, 0, 30))
		count := 0
		for _, one := range found {
			if one.What == forecast.AnswerOverdue {
				count++
			}
		}
		if count != want || want == 1 && (found[0].What != forecast.AnswerOverdue || found[0].LabWorkload != "gw" || found[0].Harmless) {
			t.Errorf("%s past: %+v", past, found)
		}
	}
}

func TestWhatCannotBeReadIsLeftOut(t *testing.T) {
	t.Parallel()
	facts := lab()
	facts.Trainings, facts.Content = nil, nil
	for _, one := range forecast.Of(facts, noon.AddDate(0, 0, 30)) {
		if one.What == forecast.TrainingEnds || one.What == forecast.ExemptionEnds && strings.Contains(one.Note, "stale") {
			t.Errorf("%+v", one)
		}
	}
	if got := forecast.Exempt(facts.Workloads); !slices.Equal(got, []string{digest("a"), digest("b"), digest("c")}) {
		t.Error(got)
	}
	facts.Workloads[0].Status.ImageCount = 57
	if got := forecast.Unlisted(&facts.Workloads[0]); got != 50 {
		t.Error(got)
	}
}
