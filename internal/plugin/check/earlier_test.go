// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/check"
	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/posture"
)

// aged are facts by which a tag has once meant an image that was made some days ago.
func aged(reference string, days int) map[string]check.Known {
	created := metav1.NewTime(noon.AddDate(0, 0, -days))
	image := v1alpha1.ImageRecord{Spec: v1alpha1.ImageRecordSpec{
		Digest: staleDigest, Reference: reference, FirstSeen: metav1.NewTime(noon.AddDate(0, 0, -40)), Image: &v1alpha1.ImageContent{Platform: "linux/amd64", Created: &created},
	}}
	// For another object and as an exemption, which the namespace does not share: so it decides.
	let := v1alpha1.RolloutRecord{ObjectMeta: metav1.ObjectMeta{Namespace: "lab-deny", Name: "deployment-other"}, Spec: v1alpha1.RolloutRecordSpec{Admitted: []v1alpha1.AdmittedImage{
		{Reference: reference, Digest: staleDigest, Reason: v1alpha1.AdmittedExempt, Time: metav1.NewTime(noon.AddDate(0, 0, -30))},
		{Reference: reference, Digest: staleDigest, Reason: v1alpha1.AdmittedExempt, Time: metav1.NewTime(noon.AddDate(0, 0, -35))},
	}}}
	return map[string]check.Known{
		"judged by what its tag meant on 2026-10-17, when labguard first read it": {Images: []v1alpha1.ImageRecord{image}},
		"judged by what its tag meant on 2026-10-27, when it was let in":          {Images: []v1alpha1.ImageRecord{image}, Records: []v1alpha1.RolloutRecord{let}},
	}
}

func TestAnAnswerFromWhatATagOnceMeantSaysSo(t *testing.T) {
	t.Parallel()
	asked := map[string]func(posture.ImageQuery) (posture.ImageFacts, bool){
		"offline":     nil,
		"unreachable": images{corpus.Stale: {Unknown: v1alpha1.ReasonRegistryUnreachable}}.of,
	}
	for how, facts := range asked {
		for days, verdict := range map[int]gate.Verdict{200: gate.Refuses, 45: gate.RollsOut} {
			for words, known := range aged(corpus.Stale, days) {
				world, _ := lab(t)
				world.Facts = facts
				world.Know(known)
				report := world.Make(check.Parsed{Objects: []*check.Object{one(t, "Deployment", "lab-deny", corpus.Stale)}}, 0)
				got := report.Results[0]
				if got.Verdict != verdict || got.Unknown || len(got.Earlier) != 1 || got.Earlier[0].Image != corpus.Stale {
					t.Fatalf("%s, %s: %+v", how, words, got)
				}
				for _, finding := range got.Findings {
					if !strings.HasSuffix(finding.Message, ". It is "+words+".") {
						t.Errorf("%s: %s", how, finding.Message)
					}
				}
				text, err := json.Marshal(report)
				if err != nil {
					t.Fatal(err)
				}
				basis, day, _ := strings.Cut(strings.TrimPrefix(words, "judged by what its tag meant on "), ", ")
				basis, day = map[string]string{"when it was let in": "admission", "when labguard first read it": "record"}[day], basis
				if want := fmt.Sprintf(`"earlier":[{"image":%q,"basis":%q,"at":"%sT12:00:00Z"}]`, corpus.Stale, basis, day); !strings.Contains(string(text), want) {
					t.Errorf("%s: no %s in %s", how, want, text)
				}
				nodes := report.Draw()
				if drawn := fmt.Sprintf("%+v", nodes[len(nodes)-1]); !strings.Contains(drawn, "1 object is judged by what a tag meant earlier") {
					t.Errorf("%s: %s", how, drawn)
				}
			}
		}
	}
}

func TestAnAnswerOfARegistryIsNoOldEvidence(t *testing.T) {
	t.Parallel()
	for words, known := range aged(corpus.Stale, 200) {
		for _, image := range []string{corpus.Stale, corpus.StaleDigest} {
			world, _ := lab(t)
			if image == corpus.StaleDigest {
				world.Facts = nil // what a digest means does not change
			}
			world.Know(known)
			if got := world.Judge(one(t, "Deployment", "lab-deny", image), 0); got.Verdict != gate.Refuses || len(got.Earlier) > 0 || strings.Contains(got.Findings[0].Message, "judged by") {
				t.Errorf("%s of %s: %+v", words, image, got)
			}
		}
	}
}
