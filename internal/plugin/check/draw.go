// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/plugin/tree"
)

// words are what a person reads for a verdict.
var words = map[gate.Verdict]tree.Span{
	gate.RollsOut: {Text: "rolls out", Mark: tree.Good},
	gate.Warns:    {Text: "rolls out, with warnings", Mark: tree.Unsure},
	gate.Holds:    {Text: "is held", Mark: tree.Bad},
	gate.Refuses:  {Text: "is refused", Mark: tree.Bad},
	NotAsked:      {Text: "rolls out: nothing enforces images on it"},
	Invalid:       {Text: "is invalid", Mark: tree.Bad},
}

// Draw is a report as trees: each object of which there is something to say, and at the end how many there are of each answer.
func (r *Report) Draw() []tree.Node {
	var nodes []tree.Node
	for _, one := range r.Broken {
		node := tree.Node{Line: []tree.Span{{Text: one.Place.String(), Mark: tree.Name}, {Text: "cannot be read", Mark: tree.Bad}}}
		nodes = append(nodes, node.With(tree.Say(one.Text)))
	}
	for i := range r.Results {
		if one := &r.Results[i]; one.worthSaying() {
			nodes = append(nodes, one.draw())
		}
	}
	counts := r.Counts.draw(r.Others)
	if earlier := r.earlier(); earlier > 0 {
		text := plural(earlier, "object is", "objects are") + " judged by what a tag meant earlier, as no registry tells what it means now"
		counts = counts.With(tree.Node{Line: []tree.Span{{Text: text, Mark: tree.Unsure}}})
	}
	return append(nodes, counts)
}

func (r *Result) worthSaying() bool {
	return len(r.Findings) > 0 || stopped(r.Verdict) || r.Later != nil && r.Later.Verdict != r.Verdict
}

func (r *Result) draw() tree.Node {
	node := tree.Node{Line: []tree.Span{{Text: r.Place.String(), Mark: tree.Name}, {Text: r.subject()}}}
	if r.Unknown {
		node.Line = append(node.Line, tree.Span{Text: "is not known; by what is known here it", Mark: tree.Unsure})
	}
	node.Line = append(node.Line, words[r.Verdict])
	for i := range r.Findings {
		node = node.With(r.Findings[i].draw(r.Verdict))
	}
	for _, note := range r.Notes {
		node = node.With(tree.Node{Line: []tree.Span{{Text: note, Mark: tree.Faint}}})
	}
	if r.Later != nil && r.Later.Verdict != r.Verdict {
		later := tree.Node{Line: []tree.Span{{Text: "on " + r.Later.At.Format(time.DateOnly) + " it"}, words[r.Later.Verdict]}}
		for _, reason := range r.Later.Reasons {
			later = later.With(tree.Say(reason))
		}
		node = node.With(later)
	}
	return node
}

var marks = map[gate.Verdict]tree.Mark{gate.Refuses: tree.Bad, gate.Holds: tree.Bad, gate.Warns: tree.Unsure}

func (f *Finding) draw(whole gate.Verdict) tree.Node {
	line := []tree.Span{{Text: fmt.Sprintf("line %d:", f.Line), Mark: tree.Faint}, {Text: f.Rule, Mark: marks[f.Effect]}}
	if f.Effect == gate.Warns && stopped(whole) {
		line = append(line, tree.Span{Text: "(a warning)"})
	}
	if f.Rule == RuleInvalidObject && f.Field != "" {
		line = append(line, tree.Span{Text: f.Field + ":"})
	}
	return tree.Node{Line: append(line, tree.Span{Text: f.Message})}
}

func (c *Counts) draw(others map[string]int) tree.Node {
	parts := []tree.Span{{Text: plural(c.Objects, "object", "objects") + ":", Mark: tree.Name}}
	add := func(count int, text string, mark tree.Mark) {
		if count == 0 {
			return
		}
		if len(parts) > 1 {
			parts[len(parts)-1].Text += ","
		}
		parts = append(parts, tree.Span{Text: fmt.Sprintf("%d %s", count, text), Mark: mark})
	}
	add(c.RollsOut, "let in", tree.Good)
	add(c.Warns, "let in with warnings", tree.Unsure)
	add(c.NotAsked, "on which nothing enforces images", tree.Plain)
	add(c.Holds, "held", tree.Bad)
	add(c.Refuses, "refused", tree.Bad)
	add(c.Invalid, "invalid", tree.Bad)
	add(c.Unknown, "of them not known for certain", tree.Unsure)
	add(c.LaterStopped, "refused or held later", tree.Unsure)
	if len(parts) == 1 {
		parts[0].Text = "nothing that the gate is asked about"
	}
	node := tree.Node{Line: parts}
	if len(others) > 0 {
		var kinds []string
		for _, kind := range slices.Sorted(maps.Keys(others)) {
			kinds = append(kinds, fmt.Sprintf("%d %s", others[kind], kind))
		}
		node = node.With(tree.Node{Line: []tree.Span{{Text: "the gate is not asked about others: " + strings.Join(kinds, ", "), Mark: tree.Faint}}})
	}
	return node
}
