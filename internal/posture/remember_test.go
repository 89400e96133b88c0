// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

// remembering is a process that has just begun, and what the status tells of the one before.
type remembering struct {
	last   posture.LastProof
	pods   []posture.AirlockPod
	closed []int32
}

func TestARestartIsNoNewsOfMutualTLS(t *testing.T) {
	tests := map[string]struct {
		change func(*remembering)
		kept   bool
	}{
		"nobody has been asked":      {func(*remembering) {}, true},
		"nobody answers":             {func(r *remembering) { r.pods[0].Facts.Failure = "no" }, true},
		"the first one has answered": {func(r *remembering) { r.pods[0].Facts = secured("lis-0").Facts }, true},
		"it answers, and no probe shows anything": {func(r *remembering) {
			r.pods[0].Facts = secured("lis-0").Facts
			r.pods[0].Facts.Probes = nil
		}, false},
		"its configuration is an older one": {func(r *remembering) {
			r.pods[0].Facts = secured("lis-0").Facts
			r.pods[0].Facts.Report.ConfigurationError = "no"
		}, false},
		"the proof is an hour old": {func(r *remembering) { r.last.ProbedAt = stageNow.Add(-time.Hour) }, false},
		"there was no probe":       {func(r *remembering) { r.last.ProbedAt = time.Time{} }, false},
		"a pod is new":             {func(r *remembering) { r.pods[1].Created = stageNow.Add(-20 * time.Minute) }, false},
		"the spec has changed":     {func(r *remembering) { r.last.Generation++ }, false},
		"the stage has changed":    {func(r *remembering) { r.last.StageBefore = v1alpha1.TransitStagePermissive }, false},
		"it was not known before":  {func(r *remembering) { r.last.Condition.Status = metav1.ConditionUnknown }, false},
		"nothing was said":         {func(r *remembering) { r.last.Condition = nil }, false},
		"nothing runs":             {func(r *remembering) { r.pods = nil }, false},
		"a client without ports":   {func(r *remembering) { r.closed, r.last.ProbedAt = nil, time.Time{} }, true},
		"and it does not answer":   {func(r *remembering) { r.closed, r.pods[0].Facts.Failure = nil, "no" }, false},
		"plaintext was seen": {func(r *remembering) {
			r.last.Condition.Status, r.last.Condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonPlaintextSeen
		}, true},
		"something else was wrong": {func(r *remembering) {
			r.last.Condition.Status, r.last.Condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonPermissive
		}, false},
		"plaintext, and all answered": {func(r *remembering) {
			r.last.Condition.Status, r.last.Condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonPlaintextSeen
			r.pods = []posture.AirlockPod{secured("lis-0")}
		}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := &remembering{closed: []int32{2575}, last: posture.LastProof{
				Condition: &metav1.Condition{
					Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonMutualTLS, Message: "m", ObservedGeneration: 3, LastTransitionTime: metav1.NewTime(stageNow.Add(-30 * time.Minute)),
				},
				Generation: 3, Stage: v1alpha1.TransitStageStrict, StageBefore: v1alpha1.TransitStageStrict, ProbedAt: stageNow.Add(-15 * time.Minute),
			}}
			for _, name := range []string{"lis-0", "lis-1"} {
				r.pods = append(r.pods, posture.AirlockPod{Name: name, Injected: true, Addresses: []string{"10.1.0.1"}, Created: stageNow.AddDate(0, 0, -1)})
			}
			test.change(r)
			answer, kept := posture.Remembered(r.last, r.pods, r.closed, stageNow)
			if kept != test.kept || kept && (answer.Answer != r.last.Condition.Status || answer.Reason != r.last.Condition.Reason) {
				t.Errorf("%t: %+v, want %t", kept, answer, test.kept)
			}
		})
	}
	// It ends by itself.
	answer, _ := posture.Remembered(posture.LastProof{
		Condition: &metav1.Condition{Status: metav1.ConditionTrue, LastTransitionTime: metav1.NewTime(stageNow)}, ProbedAt: stageNow.Add(-time.Minute),
	}, []posture.AirlockPod{{Injected: true}}, []int32{2575}, stageNow)
	if !answer.NextChange.Equal(stageNow.Add(59 * time.Minute)) {
		t.Errorf("next change %s, want an hour after the probe", answer.NextChange)
	}
}
