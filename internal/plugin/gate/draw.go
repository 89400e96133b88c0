// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"strings"
	"time"

	"github.com/labguard/labguard/internal/plugin/tree"
	"github.com/labguard/labguard/internal/posture"
)

// words are what a person reads for a verdict.
var words = map[Verdict]tree.Span{
	RollsOut: {Text: "rolls out", Mark: tree.Good},
	Warns:    {Text: "rolls out, with warnings", Mark: tree.Unsure},
	Holds:    {Text: "is held", Mark: tree.Bad},
	Refuses:  {Text: "is refused", Mark: tree.Bad},
}

// Draw is an explanation as a tree.
func (e *Explanation) Draw(now time.Time) tree.Node {
	head := tree.Node{Line: []tree.Span{{Text: strings.ToLower(e.Kind) + "/" + e.Name, Mark: tree.Name}, {Text: "in " + e.Namespace}}}
	if e.Held {
		head.Line = append(head.Line, tree.Span{Text: "is held now", Mark: tree.Bad})
	}
	for _, note := range e.Notes {
		head = head.With(tree.Node{Line: []tree.Span{{Text: note, Mark: tree.Unsure}}})
	}
	switch {
	case len(e.Enforcing) == 0 && len(e.Auditing) == 0:
		head = head.With(tree.Say("no LabWorkload with images selects it: the gate asks about nothing here"))
	case len(e.Enforcing) == 0:
		head = head.With(tree.Say("no LabWorkload enforces images on it now: the gate lets everything in"))
	}
	for _, one := range e.Enforcing {
		head = head.With(tree.Say("enforced by LabWorkload " + one))
	}
	for _, one := range e.Auditing {
		head = head.With(tree.Say("audited by LabWorkload " + one))
	}
	head = head.With(e.Now.draw("now", now), e.Later.draw(day(e.Later.At, now), now))
	if e.UnderEnforce != nil {
		head = head.With(e.UnderEnforce.draw("under Enforce, now", now))
	}
	// What was let in rolls out whatever its age; what a namespace that has not seen it would say is news only where it is another answer.
	if len(e.Enforcing) > 0 && (e.AnewNow.Verdict != e.Now.Verdict || e.AnewLater.Verdict != e.Later.Verdict) {
		head = head.With(e.AnewNow.draw("where none of the images was let in, now", now), e.AnewLater.draw("where none was let in, "+day(e.AnewLater.At, now), now))
	}
	for i := range e.Images {
		head = head.With(e.Images[i].draw(now))
	}
	return head
}

func day(at, now time.Time) string { return tree.Away(at, now) + " (" + at.Format(time.DateOnly) + ")" }

func (o *Outcome) draw(when string, now time.Time) tree.Node {
	node := tree.Node{Line: []tree.Span{{Text: when + ":"}, words[o.Verdict]}}
	if o.NextChange != nil {
		node.Line = append(node.Line, tree.Span{Text: "[until " + day(*o.NextChange, now) + " at least]", Mark: tree.Faint})
	}
	for _, reason := range o.Reasons {
		node = node.With(tree.Say(strings.TrimPrefix(reason, "labguard: ")))
	}
	return node
}

var marks = map[string]tree.Mark{
	posture.ImageFresh: tree.Good, posture.ImageStale: tree.Bad, posture.ImageTooYoung: tree.Bad, posture.ImageUnknown: tree.Unsure,
}

var bases = map[Basis]string{
	BasisDigest:    "",
	BasisStatus:    "by what labguard last saw its tag mean",
	BasisAdmission: "by what its tag meant when it was let in",
	BasisRecord:    "by what its tag meant when labguard first read it",
}

func (i *Image) draw(now time.Time) tree.Node {
	node := tree.Node{Line: []tree.Span{{Text: "image " + i.Reference + " (" + strings.Join(i.Containers, ", ") + "):"}}}
	if i.Answer != "" {
		text := i.Answer
		if i.Reason != "Image"+i.Answer && i.Reason != i.Answer {
			text += " (" + i.Reason + ")"
		}
		node.Line = append(node.Line, tree.Span{Text: text, Mark: marks[i.Answer]})
	}
	var parts []string
	if i.Created != nil {
		parts = append(parts, fmt.Sprintf("made %s (%s)", i.Created.Format(time.DateOnly), i.Evidence))
	}
	if i.StaleAt != nil {
		parts = append(parts, "stale "+day(*i.StaleAt, now))
	}
	if i.Detail != "" {
		parts = append(parts, i.Detail)
	}
	if i.Admitted != "" {
		parts = append(parts, "let in as "+string(i.Admitted))
	} else {
		parts = append(parts, "not let in here yet")
	}
	if text := bases[i.Basis]; text != "" {
		parts = append(parts, text)
	}
	node.Line = append(node.Line, tree.Span{Text: strings.Join(parts, ", ")})
	return node
}
