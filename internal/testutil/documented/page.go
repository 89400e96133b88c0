// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package documented

import (
	"fmt"
	"slices"
	"strings"
)

// Fence is one fenced block of a page.
type Fence struct {
	// Headings lead to the block: the title of the page, then each heading below it that the block stands under.
	Headings []string
	// Number is its place among the blocks of commands below the last heading, from 1. Other blocks have none.
	Number int
	// Line is the line of the fence in the file, from 1.
	Line int
	// Language is the first word behind the fence, such as sh.
	Language string
	// Comment is the text of the HTML comment right above the fence, if there is one.
	Comment string
	// Text is what stands between the fences, without the indentation of the fence, each line ended.
	Text string
}

// Commands says whether the block has commands that a reader may copy.
func (f Fence) Commands() bool {
	return slices.Contains([]string{"sh", "console", "bash", "shell"}, f.Language)
}

// Heading is one heading of a page.
type Heading struct {
	// Level is 1 for the title.
	Level int
	// Line is its line in the file, from 1.
	Line int
	// Text is what it says, in Markdown.
	Text string
}

// Page is what is read of one Markdown file.
type Page struct {
	Fences   []Fence
	Headings []Heading
	// Prose is the file with the lines of its fenced blocks left empty, so that lines keep their numbers.
	Prose []string
}

// Parse reads a Markdown file. A fence that is not closed is an error, as everything behind it would count as code.
func Parse(content string) (Page, error) {
	p := parser{}
	for i, line := range strings.Split(content, "\n") {
		p.line(i+1, strings.TrimRight(line, "\r"))
	}
	if p.open != nil {
		return Page{}, fmt.Errorf("the fence of line %d is not closed", p.open.Line)
	}
	return p.page, nil
}

// parser holds where in the file it is.
type parser struct {
	page    Page
	path    []Heading
	numbers int
	// open is the fence that is not closed yet, indented and fenced as these say.
	open   *Fence
	indent int
	marks  string
	// comment is the HTML comment that ended on the line before; inside says that one goes on.
	comment string
	inside  bool
}

func (p *parser) line(number int, line string) {
	if p.open != nil {
		p.fenced(line)
		p.page.Prose = append(p.page.Prose, "")
		return
	}
	trimmed := strings.TrimLeft(line, " ")
	if marks := fenceMarks(trimmed); marks != "" {
		p.opens(number, len(line)-len(trimmed), marks, strings.TrimSpace(trimmed[len(marks):]))
		p.page.Prose = append(p.page.Prose, "")
		return
	}
	p.page.Prose = append(p.page.Prose, line)
	if p.commented(trimmed) {
		return
	}
	p.comment = ""
	if level, text := heading(line); level > 0 {
		p.heading(Heading{Level: level, Line: number, Text: text})
	}
}

// commented takes a line that is a part of an HTML comment.
func (p *parser) commented(line string) bool {
	if !p.inside {
		rest, starts := strings.CutPrefix(line, "<!--")
		if !starts {
			return false
		}
		p.inside, p.comment, line = true, "", rest
	}
	text, _, ends := strings.Cut(line, "-->")
	p.comment = strings.TrimSpace(p.comment + " " + strings.TrimSpace(text))
	p.inside = !ends
	return true
}

func (p *parser) heading(h Heading) {
	p.page.Headings = append(p.page.Headings, h)
	for len(p.path) > 0 && p.path[len(p.path)-1].Level >= h.Level {
		p.path = p.path[:len(p.path)-1]
	}
	p.path = append(p.path, h)
	p.numbers = 0
}

func (p *parser) opens(number, indent int, marks, info string) {
	language, _, _ := strings.Cut(info, " ")
	p.open = &Fence{Line: number, Language: language, Comment: p.comment}
	p.comment, p.indent, p.marks = "", indent, marks
	for _, h := range p.path {
		p.open.Headings = append(p.open.Headings, h.Text)
	}
	if p.open.Commands() {
		p.numbers++
		p.open.Number = p.numbers
	}
}

func (p *parser) fenced(line string) {
	trimmed := strings.TrimSpace(line)
	if strings.HasPrefix(trimmed, p.marks) && strings.Trim(trimmed, p.marks[:1]) == "" {
		p.page.Fences = append(p.page.Fences, *p.open)
		p.open = nil
		return
	}
	own := len(line) - len(strings.TrimLeft(line, " "))
	p.open.Text += line[min(own, p.indent):] + "\n"
}

// fenceMarks is the run of at least three ` or ~ that the line begins with.
func fenceMarks(line string) string {
	for _, mark := range []string{"`", "~"} {
		if run := line[:len(line)-len(strings.TrimLeft(line, mark))]; len(run) >= 3 {
			return run
		}
	}
	return ""
}

func heading(line string) (level int, text string) {
	rest := strings.TrimLeft(line, "#")
	level = len(line) - len(rest)
	if level == 0 || level > 6 || !strings.HasPrefix(rest, " ") {
		return 0, ""
	}
	return level, strings.TrimSpace(rest)
}
