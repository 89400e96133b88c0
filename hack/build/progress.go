// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// On a terminal progress stays on one line; elsewhere (a pipe, a CI log) it is
// a plain line now and then, so that nobody takes a silent build for a hung one.
const (
	terminalEvery = 100 * time.Millisecond
	plainEvery    = 10 * time.Second
	lineWidth     = 100
)

// progress tells a person who waits what happens.
type progress struct {
	out      io.Writer
	name     string
	terminal bool
	now      func() time.Time
	begun    time.Time
	last     time.Time
	open     bool
}

func newProgress(out io.Writer, name string) *progress {
	p := &progress{out: out, name: name, now: time.Now}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	p.begun = p.now()
	return p
}

// say prints text that stays, each line under the target's name.
func (p *progress) say(format string, args ...any) {
	p.closeLine()
	for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		_, _ = fmt.Fprintf(p.out, "%s: %s\n", p.name, line)
	}
	p.last = p.now()
}

// update says how far things are; of many calls only some are shown.
func (p *progress) update(format string, args ...any) {
	every := plainEvery
	if p.terminal {
		every = terminalEvery
	}
	now := p.now()
	if now.Sub(p.last) < every {
		return
	}
	p.last = now
	text := fmt.Sprintf("%s: [%s] %s", p.name, p.elapsed(), fmt.Sprintf(format, args...))
	if !p.terminal {
		_, _ = fmt.Fprintln(p.out, text)
		return
	}
	if len(text) > lineWidth {
		text = text[:lineWidth]
	}
	_, _ = fmt.Fprintf(p.out, "\r%-*s", lineWidth, text)
	p.open = true
}

// end closes the line that update keeps open, and says how long it all took.
func (p *progress) end() {
	p.say("took %s", p.elapsed())
}

func (p *progress) elapsed() time.Duration {
	return p.now().Sub(p.begun).Round(time.Second)
}

func (p *progress) closeLine() {
	if p.open {
		_, _ = fmt.Fprintf(p.out, "\r%-*s\r", lineWidth, "")
		p.open = false
	}
}
