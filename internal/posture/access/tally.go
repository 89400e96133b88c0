// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// effect is what a requirement that is not content does.
type effect int

const (
	refuses effect = iota
	// audits: it would refuse under Enforce.
	audits
	// warns: nobody can prove it, and the rule says to let through.
	warns
)

func effectOf(enforce bool) effect {
	if enforce {
		return refuses
	}
	return audits
}

// unprovenEffect is that of something that nobody can prove.
func unprovenEffect(enforce bool, onUnproven OnUnproven) effect {
	if onUnproven == UnprovenWarn {
		return warns
	}
	return effectOf(enforce)
}

// maxTold is how many different names one sentence tells.
const maxTold = 3

// told are a few different names, in the order in which they came, and how many more came. Of those more, doubles are known if they follow one another.
type told struct {
	names []string
	last  string
	more  int
}

func (t *told) add(name string) {
	switch {
	case name == "" || name == t.last || slices.Contains(t.names, name):
	case len(t.names) < maxTold:
		t.names = append(t.names, name)
	default:
		t.more++
	}
	t.last = name
}

// next is add for names that come sorted.
func (t *told) next(name string) {
	switch {
	case name == "" || name == t.last:
	case len(t.names) < maxTold:
		t.names = append(t.names, name)
	default:
		t.more++
	}
	t.last = name
}

// group is everything that has one reason and one effect.
type group struct {
	reason    Reason
	effect    effect
	workloads told
	details   told
	// limit is the shortest for which the login is too old.
	limit time.Duration
}

// tally gathers the requirements that are not content. It is bounded by the number of reasons.
type tally struct {
	groups []group
}

// group is the place of the group with a reason and an effect, to which a detail is added.
func (t *tally) group(reason Reason, effect effect, detail string) int {
	at := 0
	for at < len(t.groups) && (t.groups[at].effect != effect || t.groups[at].reason != reason) {
		at++
	}
	if at == len(t.groups) {
		t.groups = append(t.groups, group{reason: reason, effect: effect})
	}
	t.groups[at].details.add(detail)
	return at
}

// add says that a requirement belongs to a group. Requirements come sorted by name.
func (t *tally) add(each *asked, group int) { t.groups[group].workloads.next(each.Workload) }

// answer turns what was gathered into the answer. What refuses stands in the message, all at once, so that nobody has to find out step by step; the
// rest stands in warnings.
func (t *tally) answer(d *decision) Answer {
	slices.SortStableFunc(t.groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.effect, b.effect), cmp.Compare(a.reason.rank(), b.reason.rank()))
	})
	answer := Answer{Allowed: true, Reason: ReasonProven}
	var refusals []string
	for i := range t.groups {
		each := &t.groups[i]
		if i == 0 {
			answer.Reason = each.reason
		}
		switch each.effect {
		case refuses:
			answer.Allowed = false
			refusals = append(refusals, d.sentence(each))
		case audits:
			answer.Warnings = append(answer.Warnings, d.told("would be refused if it were enforced", each.reason, d.sentence(each)))
		case warns:
			answer.Warnings = append(answer.Warnings, d.told("is let through without proof", each.reason, d.sentence(each)))
		}
	}
	if !answer.Allowed {
		if unread := d.unread(); unread != "" {
			refusals = append(refusals, unread)
		}
		answer.Message = d.told("is refused", answer.Reason, strings.Join(refusals, ". "))
	}
	return answer
}

// reasons are those with an effect, for the audit log.
func (t *tally) reasons(effect effect) string {
	var reasons []string
	for i := range t.groups {
		if t.groups[i].effect == effect {
			reasons = append(reasons, string(t.groups[i].reason))
		}
	}
	return strings.Join(reasons, ",")
}
