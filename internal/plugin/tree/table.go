// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"strings"
	"unicode/utf8"
)

const (
	// gap is what stands between two columns, as in kubectl.
	gap = "   "
	// roomiest is how much of the last column has to fit beside the others; else it gets a line of its own.
	roomiest = 24
)

// Table is the text of rows under a header. An empty cell is a dash. The last column may be long: it is folded to the width.
func (p Paper) Table(header []string, rows [][]Span) string {
	widths := make([]int, len(header))
	for i, title := range header {
		widths[i] = utf8.RuneCountInString(title)
	}
	for _, row := range rows {
		for i := range row[:len(row)-1] {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell(row[i])))
		}
	}
	indentation := 0
	for _, width := range widths[:len(widths)-1] {
		indentation += width + len(gap)
	}
	var out strings.Builder
	titles := make([]Span, len(header))
	for i, title := range header {
		titles[i] = Span{Text: title, Mark: Name}
	}
	for _, row := range append([][]Span{titles}, rows...) {
		p.row(&out, row, widths, indentation)
	}
	return out.String()
}

func (p Paper) row(out *strings.Builder, row []Span, widths []int, indentation int) {
	var line strings.Builder
	last := len(row) - 1
	for i := range row[:last] {
		text := cell(row[i])
		line.WriteString(p.paint(text, row[i].Mark))
		line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)) + gap)
	}
	hang, room := indentation, p.room(indentation)
	if p.Width > 0 && p.Width-indentation < roomiest && utf8.RuneCountInString(row[last].Text) > roomiest {
		hang, room = len(gap), p.room(len(gap))
		begun := strings.TrimRight(line.String(), " ")
		line.Reset()
		line.WriteString(begun + "\n" + gap)
	}
	folded := p.fold([]Span{{Text: cell(row[last]), Mark: row[last].Mark}}, room)
	line.WriteString(strings.Join(folded, "\n"+strings.Repeat(" ", hang)))
	out.WriteString(line.String())
	out.WriteByte('\n')
}

func cell(span Span) string {
	if span.Text == "" {
		return "-"
	}
	return Visible(span.Text)
}
