// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"time"

	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/utils/clock"
)

// How often a person hears how far an import has come: on a terminal in one line that changes, elsewhere in lines that a log can bear.
const (
	terminalEvery = 200 * time.Millisecond
	logEvery      = 10 * time.Second
)

// progress says how far something has come that takes long. What is done at once is not spoken of.
type progress struct {
	out      io.Writer
	clock    clock.PassiveClock
	doing    string
	terminal bool
	every    time.Duration
	last     time.Time
	spoken   bool
}

func newProgress(out io.Writer, clock clock.PassiveClock, dryRun bool) *progress {
	p := &progress{out: out, clock: clock, doing: "written", terminal: printers.IsTerminal(out), every: logEvery, last: clock.Now()}
	if dryRun {
		p.doing = "checked"
	}
	if p.terminal {
		p.every = terminalEvery
	}
	return p
}

// at says that so many of all are done.
func (p *progress) at(done, all int) {
	if p.clock.Since(p.last) < p.every {
		return
	}
	p.last, p.spoken = p.clock.Now(), true
	if p.terminal {
		_, _ = fmt.Fprintf(p.out, "\r\x1b[K%d of %d records %s", done, all, p.doing)
		return
	}
	_, _ = fmt.Fprintf(p.out, "%d of %d records %s\n", done, all, p.doing)
}

// end leaves the terminal as it was.
func (p *progress) end() {
	if p.terminal && p.spoken {
		_, _ = fmt.Fprint(p.out, "\r\x1b[K")
	}
}
