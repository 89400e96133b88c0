// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"slices"
	"time"

	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/rollout"
	"github.com/labguard/labguard/internal/posture/template"
)

// Verdict is what becomes of a write.
type Verdict string

// The verdicts.
const (
	// RollsOut: it goes through.
	RollsOut Verdict = "RollsOut"
	// Warns: it goes through, with warnings.
	Warns Verdict = "Warns"
	// Holds: it is stored and does not roll out.
	Holds Verdict = "Holds"
	// Refuses: it is not stored.
	Refuses Verdict = "Refuses"
)

// Passes says whether something rolls out.
func (v Verdict) Passes() bool { return v == RollsOut || v == Warns }

// Outcome is the answer to one write at one instant.
type Outcome struct {
	At      time.Time `json:"at"`
	Verdict Verdict   `json:"verdict"`
	// Reasons are what admission would say, one line for each image.
	Reasons []string `json:"reasons,omitempty"`
	// NextChange is when time alone may change it.
	NextChange *time.Time `json:"nextChange,omitempty"`
}

// ask is one question to the gate.
type ask struct {
	root, old *template.Root
	workloads *rollout.Namespace
	// anew asks as a namespace that has never seen the images would.
	anew bool
	// cannotHold says why it cannot be held.
	cannotHold string
	at         time.Time
}

// decide asks the one decision function. Without a LabWorkload that enforces, everything goes through.
func (s *Seen) decide(question ask) (posture.RolloutDecision, []posture.Governing, *rollout.Write) {
	write := &rollout.Write{Root: question.root, Old: question.old, Namespace: question.workloads, Platform: s.Platform, Now: question.at}
	governing := write.Governing()
	asked := write.Question(governing, write.Admitted())
	if question.anew {
		asked.Admitted, asked.Running, asked.LastAdmitted = nil, nil, ""
	}
	asked.CannotHold = func() string { return question.cannotHold }
	asked.Facts = func(reference string) posture.ImageFacts {
		facts, _ := s.facts(write.Query(reference))
		return facts
	}
	asked.Fresher = s.fresher(write)
	return posture.DecideRollout(asked), governing, write
}

func outcomeOf(decision posture.RolloutDecision, at time.Time) Outcome {
	outcome := Outcome{At: at.UTC(), Verdict: RollsOut, NextChange: pointer(decision.NextChange)}
	switch {
	case !decision.Allowed:
		outcome.Verdict, outcome.Reasons = Refuses, slices.Concat(decision.Refusals, decision.Warnings)
	case decision.Held:
		outcome.Verdict, outcome.Reasons = Holds, slices.Concat(decision.Holds, decision.Warnings)
	case len(decision.Warnings) > 0:
		outcome.Verdict, outcome.Reasons = Warns, decision.Warnings
	}
	return outcome
}

func pointer(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}
