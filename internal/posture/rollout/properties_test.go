// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/rollout"
	"github.com/labguard/labguard/internal/posture/template"
)

var actions = []v1alpha1.OnStale{v1alpha1.OnStaleDeny, v1alpha1.OnStaleHold, v1alpha1.OnStaleWarn}

// someNamespace draws LabWorkloads with all kinds of requirements, and records of this and other roots.
func someNamespace(t *rapid.T) *rollout.Namespace {
	var workloads []v1alpha1.LabWorkload
	for i := range rapid.IntRange(0, 3).Draw(t, "workloads") {
		workloads = append(workloads, workload(fmt.Sprintf("w%d", i), func(spec *v1alpha1.LabWorkloadSpec) {
			spec.Images.OnStale, spec.Images.OnUnknownAge = rapid.SampledFrom(actions).Draw(t, "stale"), rapid.SampledFrom(actions).Draw(t, "unknown")
			spec.Images.MinAge = rapid.SampledFrom([]v1alpha1.ImageDuration{"", "72h"}).Draw(t, "minAge")
			spec.Enforcement = rapid.SampledFrom([]v1alpha1.Enforcement{v1alpha1.EnforcementAudit, v1alpha1.EnforcementEnforce}).Draw(t, "enforcement")
		}))
	}
	var records []v1alpha1.RolloutRecord
	for _, name := range []string{"deployment-lis", "deployment-other"} {
		reason := rapid.SampledFrom([]v1alpha1.AdmissionReason{v1alpha1.AdmittedFresh, v1alpha1.AdmittedAudit, v1alpha1.AdmittedPreExisting}).Draw(t, "reason")
		records = append(records, record(name, reason, rapid.SliceOfNDistinct(rapid.SampledFrom(references), 0, 3, rapid.ID[string]).Draw(t, name)...))
	}
	return rollout.Arrange("pathology", workloads, records)
}

var references = []string{"lis:1", "lis:2", "sidecar:1", "sidecar:2"}

func someFacts(t *rapid.T) func(string) posture.ImageFacts {
	known := map[string]posture.ImageFacts{}
	for _, reference := range references {
		facts := posture.ImageFacts{Unknown: v1alpha1.ReasonRegistryUnreachable}
		if rapid.Bool().Draw(t, "known") {
			facts = posture.ImageFacts{Digest: "sha256:" + reference, ConfigCreated: noon.Add(-time.Duration(rapid.IntRange(0, 200).Draw(t, "days")) * 24 * time.Hour)}
		}
		known[reference] = facts
	}
	return func(reference string) posture.ImageFacts { return known[reference] }
}

// The controller that releases a hold asks about the object as it is; the webhook that answers its write asks about the object without the marker. For
// equal facts and any instant the two must agree, or a hold would be released that the webhook puts back, or be kept that it would let go.
func TestPropertyTheControllerAndTheWebhookAgreeAboutARelease(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		namespace, facts := someNamespace(t), someFacts(t)
		held := root("Deployment", "lis", rapid.SliceOfN(rapid.SampledFrom(references), 1, 3).Draw(t, "images")...)
		held.Annotations = map[string]string{v1alpha1.HoldAnnotation: `{"paused":null}`}
		unmarked := *held
		unmarked.Annotations = nil
		now := noon.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "later")) * 24 * time.Hour)
		ask := func(root *template.Root) posture.RolloutDecision {
			write := &rollout.Write{Namespace: namespace, Root: root, Old: held, Now: now}
			question := write.Question(write.Governing(), write.Admitted())
			question.CannotHold, question.Facts = func() string { return "" }, facts
			return posture.DecideRollout(question)
		}
		if diff := cmp.Diff(ask(held), ask(&unmarked)); diff != "" {
			t.Fatalf("the controller and the webhook disagree:\n%s", diff)
		}
	})
}
