// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package path

import (
	"time"

	"github.com/labguard/labguard/internal/plugin/standing"
	"github.com/labguard/labguard/internal/plugin/tree"
)

var marks = map[standing.Weight]tree.Mark{standing.Good: tree.Good, standing.Bad: tree.Bad, standing.Unsure: tree.Unsure, standing.Note: tree.Faint}

var verdicts = map[Verdict]tree.Span{
	MutualTLS:    {Text: "mutual TLS", Mark: tree.Good},
	Unproven:     {Text: "not proven", Mark: tree.Unsure},
	NotMutualTLS: {Text: "no mutual TLS", Mark: tree.Bad},
}

// Draw is a way as a tree.
func (w *Way) Draw(now time.Time) tree.Node {
	head := tree.Node{Line: []tree.Span{{Text: w.From + " -> " + w.To, Mark: tree.Name}, verdicts[w.Verdict]}}
	if w.Reason != "" {
		head = head.With(tree.Node{Line: []tree.Span{{Text: "reason:", Mark: verdicts[w.Verdict].Mark}, {Text: w.Reason}}})
	}
	head = head.With(tree.Say("a connection " + w.Traffic))
	for _, link := range w.Links {
		spans := []tree.Span{{Text: link.Name + ":", Mark: marks[link.Weight]}, {Text: link.Text}}
		if link.Until != nil {
			spans = append(spans, tree.Span{Text: "[until " + link.Until.Format(time.RFC3339) + ", " + tree.Away(*link.Until, now) + "]", Mark: tree.Faint})
		}
		head = head.With(tree.Node{Line: spans})
	}
	return head
}
