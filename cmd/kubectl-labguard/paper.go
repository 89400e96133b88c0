// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/plugin/tree"
)

// slow is how long something is read before a person hears of it.
const slow = time.Second

// paper is what the answers are drawn on.
func (p *plugin) paper() tree.Paper {
	if !printers.IsTerminal(p.Out) {
		return tree.Paper{}
	}
	width := 0
	if file, isFile := p.Out.(*os.File); isFile {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil {
			width = columns
		}
	}
	return terminal(width, os.Getenv)
}

// terminal is a terminal of a width, 0 if that is not known, as its environment describes it. NO_COLOR is that of no-color.org.
func terminal(width int, env func(string) string) tree.Paper {
	const usual = 80
	paper := tree.Paper{Lines: true, Width: width, Colour: env("NO_COLOR") == "" && env("TERM") != "dumb"}
	if width <= 0 {
		paper.Width = usual
		if columns, err := strconv.Atoi(env("COLUMNS")); err == nil && columns > 0 {
			paper.Width = columns
		}
	}
	paper.Unicode = runtime.GOOS == "windows"
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := strings.ToLower(env(name)); locale != "" {
			paper.Unicode = strings.HasSuffix(locale, "utf-8") || strings.HasSuffix(locale, "utf8") || paper.Unicode
			break
		}
	}
	return paper
}

// during says on a terminal what is being read, if that takes longer than a second. Whoever calls it calls what it returns when it is over.
func (p *plugin) during(ctx context.Context, doing string) (over func()) {
	timers, ticks := p.clock.(clock.Clock)
	if !ticks || !printers.IsTerminal(p.ErrOut) {
		return func() {}
	}
	return told(ctx, timers, p.ErrOut, doing)
}

func told(ctx context.Context, timers clock.Clock, out io.Writer, doing string) (over func()) {
	ctx, cancel := context.WithCancel(ctx)
	timer := timers.NewTimer(slow)
	var talking sync.WaitGroup
	talking.Go(func() {
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return
		case <-timer.C():
		}
		_, _ = fmt.Fprint(out, "\r\x1b[K"+doing+" ...")
		<-ctx.Done()
		_, _ = fmt.Fprint(out, "\r\x1b[K")
	})
	return func() {
		cancel()
		talking.Wait()
	}
}

// outputOf checks -o.
func outputOf(output string) error {
	if output != "" && output != "json" {
		return errors.New("-o is json, or left out for people")
	}
	return nil
}

// printJSON prints an answer as programs read it. It may be printed on a terminal all the same.
func (p *plugin) printJSON(answer any) error {
	encoded, err := json.MarshalIndent(answer, "", "  ")
	if err != nil {
		return err
	}
	_, err = p.Out.Write(append(tree.JSON(encoded), '\n'))
	return err
}
