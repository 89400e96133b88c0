// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"fmt"
	"sync"
	"time"

	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/training"
)

// maxTrained bounds how many different wishes for training are remembered.
const maxTrained = 1000

// trained remembers answers about everybody of the training records: with 10,000 of those one takes milliseconds, and many LabWorkloads ask for the
// same courses. The zero value is ready.
type trained struct {
	lock    sync.Mutex
	index   *training.Index
	answers map[string]trainedAnswer
}

type trainedAnswer struct {
	verdict posture.Verdict
	at      time.Time
}

// holds says whether the answer is still the one at another instant.
func (a trainedAnswer) holds(now time.Time) bool {
	return !now.Before(a.at) && (a.verdict.NextChange.IsZero() || now.Before(a.verdict.NextChange))
}

// judge answers StaffTrained. Where people are named it remembers nothing: they are few.
func (t *trained) judge(asked training.Observation, index *training.Index, now time.Time) posture.Verdict {
	if len(asked.People) > 0 {
		return training.Judge(asked.With(index), now)
	}
	wish := fmt.Sprintf("%q %d", asked.Courses, asked.MaxAge)
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.index != index || len(t.answers) >= maxTrained {
		t.index, t.answers = index, map[string]trainedAnswer{}
	}
	if known, found := t.answers[wish]; found && known.holds(now) {
		return known.verdict
	}
	answer := trainedAnswer{verdict: training.Judge(asked.With(index), now), at: now}
	if t.answers == nil {
		t.answers = map[string]trainedAnswer{}
	}
	t.answers[wish] = answer
	return answer.verdict
}
