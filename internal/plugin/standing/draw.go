// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package standing

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/internal/plugin/tree"
)

// Few is how much evidence of one requirement is drawn where many LabWorkloads are.
const Few = 5

// Draw is a LabWorkload as a tree, with at most so many lines of evidence for each requirement; 0 is all.
func (w *Workload) Draw(most int, now time.Time) tree.Node {
	head := tree.Node{Line: []tree.Span{
		{Text: w.Namespace + "/" + w.Name, Mark: tree.Name}, {Text: sum(w.known()), Mark: markOf(w.known())},
	}}
	if w.Enforcement != "" {
		head.Line = append(head.Line, tree.Span{Text: "(" + w.Enforcement + ")"})
	}
	if w.Behind {
		head = head.With(tree.Node{Line: []tree.Span{{Text: "labguard has not looked at the latest spec yet; this is about the one before", Mark: tree.Unsure}}})
	}
	if w.Overdue {
		text := "an answer was to change " + when(*w.NextChange, now) + ", and labguard has not looked since: is it running?"
		head = head.With(tree.Node{Line: []tree.Span{{Text: text, Mark: tree.Bad}}})
	}
	if w.Ready.Status != metav1.ConditionTrue && w.Ready.Reason != NotLookedAt {
		head = head.With(line("Ready", w.Ready))
	}
	for i := range w.Requirements {
		head = head.With(w.Requirements[i].draw(most, now))
	}
	if w.BreakGlass != nil {
		head = head.With(tree.Node{Line: []tree.Span{{Text: "break glass was used:", Mark: tree.Bad}, {Text: w.BreakGlass.Message}}})
	}
	if w.Held > 0 {
		text := fmt.Sprintf("%s held: kubectl labguard held -n %s", count(int(w.Held), "rollout"), w.Namespace)
		head = head.With(tree.Node{Line: []tree.Span{{Text: text, Mark: tree.Unsure}}})
	}
	if w.NextChange != nil && !w.Overdue {
		head = head.With(tree.Node{Line: []tree.Span{{Text: "time alone changes an answer " + when(*w.NextChange, now), Mark: tree.Faint}}})
	}
	return head
}

func sum(compliant metav1.ConditionStatus) string {
	switch compliant {
	case metav1.ConditionTrue:
		return "complies"
	case metav1.ConditionFalse:
		return "does not comply"
	default:
		return "nobody knows whether it complies"
	}
}

func (r *Requirement) draw(most int, now time.Time) tree.Node {
	node := line(r.Type, r.Answer)
	if r.Until != nil {
		node.Line = append(node.Line, tree.Span{Text: "[until " + when(*r.Until, now) + "]", Mark: markOfEnd(*r.Until, now)})
	}
	for i, found := range r.Evidence {
		if most > 0 && i == most && len(r.Evidence) > most+1 {
			return node.With(tree.Node{Line: []tree.Span{{Text: fmt.Sprintf("and %d more: name the LabWorkload to see them", len(r.Evidence)-most), Mark: tree.Faint}}})
		}
		spans := []tree.Span{{Text: found.Text, Mark: marks[found.Weight]}}
		if found.Until != nil {
			spans = append(spans, tree.Span{Text: "[" + ending(*found.Until, now) + "]", Mark: markOfEnd(*found.Until, now)})
		}
		node = node.With(tree.Node{Line: spans})
	}
	return node
}

var marks = map[Weight]tree.Mark{Bad: tree.Bad, Unsure: tree.Unsure}

func line(name string, a Answer) tree.Node {
	spans := []tree.Span{{Text: string(a.Status), Mark: markOf(a.Status)}, {Text: name, Mark: tree.Name}, {Text: a.Reason}}
	if a.Message != "" {
		spans[2].Text += ":"
		spans = append(spans, tree.Span{Text: a.Message})
	}
	if a.Since != nil {
		spans = append(spans, tree.Span{Text: "[since " + a.Since.Format(time.DateOnly) + "]", Mark: tree.Faint})
	}
	return tree.Node{Line: spans}
}

func markOf(status metav1.ConditionStatus) tree.Mark {
	switch status {
	case metav1.ConditionTrue:
		return tree.Good
	case metav1.ConditionFalse:
		return tree.Bad
	default:
		return tree.Unsure
	}
}

// soon is what is told in another colour.
const soon = 14 * 24 * time.Hour

func markOfEnd(end, now time.Time) tree.Mark {
	switch {
	case !now.Before(end):
		return tree.Bad
	case end.Sub(now) < soon:
		return tree.Unsure
	default:
		return tree.Faint
	}
}

func ending(end, now time.Time) string {
	if now.Before(end) {
		return "until " + when(end, now)
	}
	return "ended " + when(end, now)
}

// when is an instant with how far away it is.
func when(at, now time.Time) string { return at.Format(time.RFC3339) + ", " + tree.Away(at, now) }
