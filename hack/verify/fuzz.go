// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// fuzz runs every fuzz test of some packages for a while, one after the other:
// the go command takes one at a time.
func fuzz(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	each := flags.Duration("time", 10*time.Second, "")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%w\n%s", err, usage)
	}
	if flags.NArg() == 0 {
		return flag.ErrHelp
	}
	list := exec.CommandContext(ctx, "go", append([]string{"test", "-list", "^Fuzz"}, flags.Args()...)...)
	var complaints bytes.Buffer
	list.Stderr = &complaints
	listed, err := list.Output()
	if err != nil {
		return fmt.Errorf("list the fuzz tests: %w\n%s%s", err, listed, &complaints)
	}
	for _, target := range fuzzTargets(string(listed)) {
		if _, err := fmt.Fprintf(out, "fuzz: %s of %s\n", target.name, target.pkg); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-fuzz", "^"+target.name+"$", "-fuzztime", each.String(), target.pkg)
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s of %s: %w", target.name, target.pkg, err)
		}
	}
	return nil
}

// A fuzzTarget is one fuzz test of one package.
type fuzzTarget struct{ pkg, name string }

// fuzzTargets reads what `go test -list` prints: the names of a package, one a
// line, then "ok", the package and a time, separated by tabs.
func fuzzTargets(listed string) []fuzzTarget {
	var targets []fuzzTarget
	var names []string
	for line := range strings.Lines(listed) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "Fuzz") {
			names = append(names, line)
			continue
		}
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "ok" {
			for _, name := range names {
				targets = append(targets, fuzzTarget{pkg: fields[1], name: name})
			}
		}
		names = nil
	}
	return targets
}
