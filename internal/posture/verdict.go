// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// maxMessage is the length in bytes to which the message of a condition is cut.
	maxMessage = 299
	// maxListed is how many names a message lists before it says how many more there are.
	maxListed = 3
)

// Verdict is the answer to one requirement. The zero value knows nothing: Unknown.
type Verdict struct {
	// Answer is True, False or Unknown; empty counts as Unknown.
	Answer metav1.ConditionStatus
	// Reason is one of the reasons of api/v1alpha1.
	Reason string
	// Message is for a person: below 300 bytes, without times or counters that tick.
	Message string
	// NextChange is the earliest instant at which time alone can change the answer; zero if it cannot.
	NextChange time.Time
}

// verdict fills a sentence with lists of names. The lists share the room that the words of the sentence leave, so that names of any
// length never cut off its end, which says what to do. What a short list does not need goes to the longer ones.
func verdict(answer metav1.ConditionStatus, reason, sentence string, lists ...[]string) Verdict {
	room := maxMessage - (len(sentence) - len("%s")*len(lists))
	texts, order := make([]any, len(lists)), make([]int, len(lists))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return len(List(lists[a])) - len(List(lists[b])) })
	for done, i := range order {
		text := listWithin(lists[i], room/(len(lists)-done))
		room -= len(text)
		texts[i] = text
	}
	return Verdict{Answer: answer, Reason: reason, Message: cut(fmt.Sprintf(sentence, texts...), maxMessage)}
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

// List joins names, sorted and without doubles, and cuts them to three "and N more". What cannot be printed becomes a question mark.
func List(names []string) string {
	return listed(distinct(names), maxListed)
}

// listWithin is List in at most so many bytes: with fewer names, and if even one is too long, with its beginning.
func listWithin(names []string, room int) string {
	names = distinct(names)
	for count := maxListed; count > 0; count-- {
		if text := listed(names, count); len(text) <= room {
			return text
		}
	}
	rest := strings.TrimPrefix(listed(names, 1), names[0])
	return cut(names[0], room-len(rest)) + rest
}

func distinct(names []string) []string {
	printable := make([]string, len(names))
	for i, name := range names {
		printable[i] = plain(name)
	}
	slices.Sort(printable)
	return slices.Compact(printable)
}

func listed(names []string, count int) string {
	if len(names) > count {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:count], ", "), len(names)-count)
	}
	return strings.Join(names, ", ")
}

// plain replaces what cannot be printed on one line, such as line ends, escape sequences and bytes that are no UTF-8: references and
// answers of registries come from others and end in terminals, logs and HTTP headers.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// cut shortens text to at most limit bytes, between characters.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const mark = "..."
	end := max(0, limit-len(mark))
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark[:max(0, min(limit, len(mark)))]
}
