// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Span is a text with what it means.
type Span struct {
	Text string
	Mark Mark
}

// Node is one line, which may be folded, with what stands below it.
type Node struct {
	Line  []Span
	Below []Node
}

// Say is a node of plain text.
func Say(text string) Node { return Node{Line: []Span{{Text: text}}} }

// With is the node with more below it.
func (n Node) With(below ...Node) Node {
	n.Below = append(slices.Clip(n.Below), below...)
	return n
}

// guides are the beginnings of lines: of a branch, of what stands below it, and of the last ones.
type guides struct{ branch, below, last, nothing string }

var (
	unicodeGuides = guides{"├─ ", "│  ", "└─ ", "   "}
	asciiGuides   = guides{"|- ", "|  ", "`- ", "   "}
	plainGuides   = guides{"  ", "  ", "  ", "  "}
)

func (p Paper) guides() guides {
	switch {
	case !p.Lines:
		return plainGuides
	case p.Unicode:
		return unicodeGuides
	default:
		return asciiGuides
	}
}

// Draw is the text of trees, each line ended.
func (p Paper) Draw(roots ...Node) string {
	var out strings.Builder
	for _, root := range roots {
		p.draw(&out, root, "", "")
	}
	return out.String()
}

func (p Paper) draw(out *strings.Builder, node Node, first, rest string) {
	hang := rest
	if g := p.guides(); len(node.Below) > 0 {
		hang += g.below
	} else {
		hang += g.nothing
	}
	for i, line := range p.fold(node.Line, p.room(utf8.RuneCountInString(hang))) {
		start := first
		if i > 0 {
			start = hang
		}
		out.WriteString(strings.TrimRight(p.paint(start, Faint)+line, " "))
		out.WriteByte('\n')
	}
	for i, below := range node.Below {
		branch, down := p.guides().branch, p.guides().below
		if i == len(node.Below)-1 {
			branch, down = p.guides().last, p.guides().nothing
		}
		p.draw(out, below, rest+branch, rest+down)
	}
}
