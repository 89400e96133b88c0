// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/labguard/labguard/internal/plugin/tree"
)

// words begin lines of an effect.
var words = map[Effect]tree.Span{
	Cuts:    {Text: "cut:", Mark: tree.Bad},
	Stops:   {Text: "stopped:", Mark: tree.Bad},
	Unknown: {Text: "not known:", Mark: tree.Unsure},
	Keeps:   {Text: "kept:", Mark: tree.Good},
}

// Draw is the plan as trees.
func (p *Plan) Draw() []tree.Node {
	nodes := make([]tree.Node, 0, len(p.Workloads)+1)
	for i := range p.Workloads {
		nodes = append(nodes, p.Workloads[i].draw(p.Namespace))
	}
	if len(p.Left) > 0 {
		left := tree.Node{Line: []tree.Span{{Text: "without a LabWorkload", Mark: tree.Unsure}}}
		for i, one := range p.Left {
			if i == most {
				left = left.With(tree.Say(fmt.Sprintf("and %d more", len(p.Left)-most)))
				break
			}
			left = left.With(tree.Say(one))
		}
		nodes = append(nodes, left)
	}
	return nodes
}

func (w *Workload) draw(namespace string) tree.Node {
	head := tree.Node{Line: []tree.Span{{Text: namespace + "/" + w.Name, Mark: tree.Name}}}
	if w.New {
		head.Line = append(head.Line, tree.Span{Text: "has no LabWorkload yet"})
	}
	if len(w.Of) > 0 {
		head.Line = append(head.Line, tree.Span{Text: "(" + strings.Join(w.Of, ", ") + ")"})
	}
	for _, part := range []struct {
		title string
		lines []Line
	}{{"network, under Enforce (what is cut is allowed now; whether anybody uses it is not known)", w.Network}, {"mutual TLS, at Strict", w.Transit}, {"images, under Enforce", w.Images}, {"people, under Enforce", w.People}} {
		if len(part.lines) == 0 {
			continue
		}
		node := tree.Say(part.title)
		for _, line := range bounded(part.lines) {
			span, marked := words[line.Effect]
			spans := []tree.Span{{Text: line.Text}}
			if marked {
				spans = append([]tree.Span{span}, spans...)
			}
			node = node.With(tree.Node{Line: spans})
		}
		head = head.With(node)
	}
	return head
}

// bounded are the first lines of each sort, and how many more there are. Lines of a sort stand together.
func bounded(lines []Line) []Line {
	var kept []Line
	for sorts := lines; len(sorts) > 0; {
		effect := sorts[0].Effect
		end := slices.IndexFunc(sorts, func(line Line) bool { return line.Effect != effect })
		if end < 0 {
			end = len(sorts)
		}
		kept = append(kept, sorts[:min(end, most)]...)
		if end > most {
			kept = append(kept, Line{effect, fmt.Sprintf("and %d more; -o json has all", end-most)})
		}
		sorts = sorts[end:]
	}
	return kept
}
