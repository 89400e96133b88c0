// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// column is a state of the laboratory.
type column struct {
	number             int
	name               string
	provider, labguard bool
}

// columns are in the order in which they are tried. That a provider is down for a day is shown by what people have after such a day: a login that is older
// than what is asked for, and tokens that are over. The API server keeps the keys of a provider until it restarts, however long that is.
var columns = []column{
	{1, "all well", true, true},
	{2, "provider down", false, true},
	{3, "both down", false, false},
	{4, "labguard down", true, false},
}

// What the cells of the table begin with.
const (
	works      = "works"
	tooOld     = "refused: the login is too old"
	noAnswer   = "refused: labguard does not answer"
	notTaken   = "401: the API server does not take the token"
	nobodyLogs = "the provider does not answer"
)

// row is somebody who does something in every column.
type row struct {
	what string
	do   func(ctx context.Context, c column) error
	// want is what comes out. Nil: it works whatever is down.
	want func(c column) string
}

// chains are rows, of which those of a chain are done one after the other, as they stand on each other.
func (p *people) chains() [][]row {
	exec := func(who person) func(context.Context, column) error {
		return func(ctx context.Context, _ column) error { return ways["exec"](ctx, who.config, p.desk, webSocket) }
	}
	change := func(who person) func(context.Context, column) error {
		return func(ctx context.Context, c column) error { return p.change(ctx, who, "changed", c) }
	}
	get := func(who person) func(context.Context, column) error {
		return func(ctx context.Context, _ column) error { return p.reads(ctx, who) }
	}
	return [][]row{
		{{"a person, two factors an hour ago: exec", exec(p.alice), needsLabguard(works)}},
		{{"a person, two factors an hour ago: change", change(p.alice), needsLabguard(works)}},
		{{"a person, two factors an hour ago: get", get(p.alice), nil}},
		{{"a person, two factors 25 hours ago: exec", exec(p.yesterday), needsLabguard(tooOld)}},
		{{"a person, two factors 25 hours ago: change", change(p.yesterday), needsLabguard(tooOld)}},
		{{"a person, two factors 25 hours ago: get", get(p.yesterday), nil}},
		{{"a person whose token is over: get", get(p.expired), func(column) string { return notTaken }}},
		{{"a person logs in anew, then exec", p.logsIn, func(c column) string {
			if !c.provider {
				return nobodyLogs
			}
			return needsLabguard(works)(c)
		}}},
		{
			{"a listed machine deploys an app", p.deploys, nil},
			{"a listed machine rolls out a change of it", p.rollsOut, nil},
			{"the garbage collector removes the pods of a deleted Deployment", p.collected, nil},
		},
		{{"the Deployment controller replaces a deleted pod", p.replaced, nil}},
		{{"a HorizontalPodAutoscaler scales", p.scaled, nil}},
		{{"a governed namespace is deleted", p.namespaceEnds, nil}},
		{{"break glass: exec", exec(p.night), nil}},
		{{"break glass: change", change(p.night), nil}},
	}
}

func needsLabguard(otherwise string) func(column) string {
	return func(c column) string {
		if !c.labguard {
			return noAnswer
		}
		return otherwise
	}
}

// cell says in a few words how something ended.
func cell(err error, took time.Duration) string {
	if err == nil {
		return fmt.Sprintf("%s, %.1f s", works, took.Seconds())
	}
	words := err.Error()
	switch {
	case strings.Contains(words, "failed calling webhook"):
		return noAnswer
	case strings.Contains(words, "denied the request") && strings.Contains(words, "a login of the last 12 hours"):
		return tooOld
	case strings.Contains(words, "Unauthorized"):
		return notTaken
	case strings.HasPrefix(words, nobodyLogs):
		return nobodyLogs
	}
	return words
}

// table gathers cells by the name of the row and the number of the column.
type table struct {
	sync.Mutex
	chains [][]row
	cells  map[string]map[int]string
}

func (t *table) put(what string, c column, cell string) {
	t.Lock()
	defer t.Unlock()
	if t.cells[what] == nil {
		t.cells[what] = map[int]string{}
	}
	t.cells[what][c.number] = cell
}

// String prints the table.
func (t *table) String() string {
	t.Lock()
	defer t.Unlock()
	var text strings.Builder
	out := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	line := func(first string, cell func(column) string) {
		_, _ = fmt.Fprint(out, first)
		for _, c := range columns {
			_, _ = fmt.Fprint(out, "\t", cell(c))
		}
		_, _ = fmt.Fprintln(out)
	}
	line("", func(c column) string { return c.name })
	for _, chain := range t.chains {
		for _, r := range chain {
			line(r.what, func(c column) string { return t.cells[r.what][c.number] })
		}
	}
	_ = out.Flush()
	return text.String()
}

// try does everything of a column.
func (p *people) try(c column, into *table) {
	p.Helper()
	var all errgroup.Group
	for _, chain := range p.chains() {
		all.Go(func() error {
			for _, r := range chain {
				want := works
				if r.want != nil {
					want = r.want(c)
				}
				ctx, cancel := context.WithTimeout(context.WithoutCancel(p.Context()), patience)
				begun := time.Now()
				got := cell(r.do(ctx, c), time.Since(begun))
				cancel()
				into.put(r.what, c, got)
				if !strings.HasPrefix(got, want) {
					p.Errorf("%s, %s: want %q, got %q", c.name, r.what, want, got)
				}
			}
			return nil
		})
	}
	_ = all.Wait()
}

// outages prints what still works while the provider, labguard or both are down.
func outages(t *testing.T, p *people) {
	p.until("the short-lived token is over", func() error {
		err := p.reads(context.WithoutCancel(t.Context()), p.expired)
		if apierrors.IsUnauthorized(err) {
			return nil
		}
		return fmt.Errorf("not refused: %w", err)
	})
	into := &table{chains: p.chains(), cells: map[string]map[int]string{}}
	defer func() { t.Logf("what works while something is down:\n%s", into) }()
	running := true
	defer func() {
		p.known.Start()
		if !running {
			startLabguard(t)
		}
	}()
	for _, c := range columns {
		if c.provider {
			p.known.Start()
		} else {
			p.known.Stop()
		}
		if running && !c.labguard {
			stopLabguard(t)
			running = false
		}
		begun := time.Now()
		p.try(c, into)
		if !c.provider && !c.labguard {
			p.everyWay(p.night)
		}
		t.Logf("%s: %s", c.name, time.Since(begun).Round(time.Second))
	}
}
