// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Phrase is a verdict with a message that conditions can carry: each %s of the sentence takes one list of names, which is shortened where
// it would push out the end of the sentence.
func Phrase(answer metav1.ConditionStatus, reason, sentence string, lists ...[]string) Verdict {
	return verdict(answer, reason, sentence, lists...)
}

// Plain is text from others, fit for one line of a terminal, a log or a header, and not longer than limit bytes.
func Plain(text string, limit int) string { return cut(plain(text), limit) }

// Exactly says a limit without leaving anything out, such as "12 hours".
func Exactly(length time.Duration) string { return exactly(length) }
