// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

// Strict that does not come is no riddle: one line says which pods keep it away, since when, and what to do.
func TestPodsThatNeverReportAreNamed(t *testing.T) {
	seen := ready()
	seen.Pods = nil
	for i := range 7 {
		pod := secured(fmt.Sprintf("lis-%d", i))
		pod.Created, pod.Facts = stageNow.Add(-48*time.Hour), posture.AirlockFacts{Failure: "no connection to its admin port", AskedSince: stageNow.Add(-3 * time.Hour)}
		seen.Pods = append(seen.Pods, pod)
	}
	seen.Pods[0].Facts.ReportedAt = stageNow.Add(-20 * time.Minute)
	seen.Pods[1].Created = stageNow.Add(-time.Minute)
	decided := posture.DecideStage(seen, stageNow)
	want := "no report of pod lis-0 (since 2026-11-23T11:40Z), lis-1 (made 2026-11-23T11:59Z), lis-2 (asked since 2026-11-23T09:00Z) and 4 more: look at the log of its container " +
		"airlock and at what is between labguard and port 15091, or delete the pod; a try failed: no connection to its admin port"
	if len(decided.Blockers) != 1 || decided.Blockers[0] != want || decided.Stage != v1alpha1.TransitStagePermissive {
		t.Errorf("stage %s, blockers %q, want %q", decided.Stage, decided.Blockers, want)
	}
	if later := posture.DecideStage(seen, stageNow.Add(time.Minute)); later.Blockers[0] != want {
		t.Errorf("a minute later it says %q: the status would be written each minute", later.Blockers[0])
	}
	strict := encrypted()
	strict.Pods = seen.Pods[2:3]
	if verdict := posture.JudgeSidecar(strict, stageNow); verdict.Reason != v1alpha1.ReasonNoRecentProof || !strings.Contains(verdict.Message, "no report of pod lis-2 (asked since") {
		t.Errorf("at Strict: %+v", verdict)
	}
}

func TestClientsThatAreCutOffAreNamedWithoutAnotherAnswer(t *testing.T) {
	seen := encrypted()
	seen.CutOff = []string{"client lab/engine: pod engine-0 has no airlock"}
	verdict := posture.JudgeSidecar(seen, stageNow)
	if want := "mutual TLS holds; clients are cut off: client lab/engine: pod engine-0 has no airlock"; verdict.Message != want || verdict.Reason != v1alpha1.ReasonMutualTLS {
		t.Errorf("%s %q, want %q", verdict.Reason, verdict.Message, want)
	}
	before := posture.JudgeSidecar(encrypted(), stageNow)
	if verdict.Answer != before.Answer || !verdict.NextChange.Equal(before.NextChange) {
		t.Errorf("the answer %s until %s, want that of before: %s until %s", verdict.Answer, verdict.NextChange, before.Answer, before.NextChange)
	}
}
