// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Mark says what a text means for whoever reads it. The zero value means nothing in particular.
type Mark int

// The marks, and how a terminal shows them.
const (
	// Plain is as everything else.
	Plain Mark = iota
	// Good is as it should be: green.
	Good
	// Bad is not: red.
	Bad
	// Unsure is what nobody knows, or what turns soon: yellow.
	Unsure
	// Name is what the rest speaks of: bold.
	Name
	// Faint is there for whoever wants to know: grey.
	Faint
)

// escapes are the colours of ECMA-48 that every terminal has.
var escapes = map[Mark]string{Good: "\x1b[32m", Bad: "\x1b[31m", Unsure: "\x1b[33m", Name: "\x1b[1m", Faint: "\x1b[2m"}

const (
	reset = "\x1b[0m"
	// narrowest is the width below which wrapping does more harm than good.
	narrowest = 30
)

// Paper is what is drawn on. The zero value is a pipe or a file: no colours, no lines, no limit of width.
type Paper struct {
	// Colour says that there are colours.
	Colour bool
	// Lines says that branches are drawn, and Unicode that they may be drawn with characters for boxes.
	Lines, Unicode bool
	// Width is how many characters a line has; 0 is as many as it takes.
	Width int
}

// Visible is a text in which nothing commands a terminal or turns the direction of writing: user names and names of objects come from others.
func Visible(text string) string {
	var plain strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			plain.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		plain.WriteString(quoted[1 : len(quoted)-1])
	}
	return plain.String()
}

// paint is a text that is visible already, in the colour of a mark.
func (p Paper) paint(text string, mark Mark) string {
	if escape := escapes[mark]; p.Colour && escape != "" && text != "" {
		return escape + text + reset
	}
	return text
}

// fold puts words on lines of at most width characters. A word that is longer has a line of its own. Width 0 is one line.
func (p Paper) fold(spans []Span, width int) []string {
	var lines []string
	line := ink{paper: p}
	for _, span := range spans {
		for word := range strings.FieldsSeq(Visible(span.Text)) {
			if line.length > 0 && width > 0 && line.length+1+utf8.RuneCountInString(word) > width {
				lines = append(lines, line.end())
			}
			line.add(word, span.Mark)
		}
	}
	return append(lines, line.end())
}

// ink is a line that is being written. Neighbours of one mark are painted together.
type ink struct {
	paper  Paper
	done   strings.Builder
	same   string
	mark   Mark
	length int
}

func (l *ink) add(word string, mark Mark) {
	l.length += utf8.RuneCountInString(word)
	switch {
	case l.same == "":
		l.same, l.mark = word, mark
		return
	case mark == l.mark:
		l.same += " " + word
	default:
		l.done.WriteString(l.paper.paint(l.same, l.mark) + " ")
		l.same, l.mark = word, mark
	}
	l.length++
}

func (l *ink) end() string {
	text := l.done.String() + l.paper.paint(l.same, l.mark)
	*l = ink{paper: l.paper}
	return text
}

// room is what is left of the width behind an indentation; 0 is without limit.
func (p Paper) room(indentation int) int {
	if p.Width == 0 || p.Width-indentation < narrowest {
		return 0
	}
	return p.Width - indentation
}
