// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxMessage is the length in bytes to which the message of a condition is cut.
const maxMessage = 300

// Verdict is the answer to one requirement. The zero value knows nothing: Unknown.
type Verdict struct {
	// Answer is True, False or Unknown; empty counts as Unknown.
	Answer metav1.ConditionStatus
	// Reason is one of the reasons of api/v1alpha1.
	Reason string
	// Message is for a person: below 300 bytes, without times or counters that tick.
	Message string
	// NextChange is the instant at which time alone changes the answer; zero if it does not.
	NextChange time.Time
}

func verdict(answer metav1.ConditionStatus, reason, format string, args ...any) Verdict {
	return Verdict{Answer: answer, Reason: reason, Message: cut(fmt.Sprintf(format, args...), maxMessage)}
}

// Status is the answer with the empty one made Unknown.
func (v Verdict) Status() metav1.ConditionStatus {
	if v.Answer == "" {
		return metav1.ConditionUnknown
	}
	return v.Answer
}

// Earliest is the earlier of two instants of which a zero one means never.
func Earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// List joins names, sorted and without doubles, and cuts them to three "and N more".
func List(names []string) string {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	if len(names) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
	}
	return strings.Join(names, ", ")
}

// cut shortens text to at most limit bytes, between characters.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := limit - len("...")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "..."
}
