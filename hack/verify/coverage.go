// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
)

// coverage prints how much of each package tree the tests have executed, and
// fails if it is less than -min percent of a tree's statements.
func coverage(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("coverage", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	profile := flags.String("profile", "", "")
	least := flags.Float64("min", 100, "")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%w\n%s", err, usage)
	}
	if *profile == "" || flags.NArg() == 0 {
		return flag.ErrHelp
	}
	f, err := os.Open(*profile)
	if err != nil {
		return fmt.Errorf("read the coverage: %w", err)
	}
	blocks, err := readProfile(f)
	_ = f.Close()
	if err != nil {
		return fmt.Errorf("read the coverage in %s: %w", *profile, err)
	}
	var failures []error
	for _, tree := range flags.Args() {
		failures = append(failures, judge(blocks, tree, *least, out))
	}
	return errors.Join(failures...)
}

// A block is a run of statements that are executed together.
type block struct {
	statements int
	executed   bool
}

// readProfile reads what `go test -coverprofile` wrote: a line "mode: ...",
// then "file:from,to statements count" for each block. A block that several
// test programs saw has several lines, and is executed if one of them did it.
func readProfile(r io.Reader) (map[string]block, error) {
	blocks := map[string]block{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "mode: ") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) != 3 || !strings.Contains(fields[0], ":") {
			return nil, fmt.Errorf("not a line of a coverage profile: %q", line)
		}
		statements, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, fmt.Errorf("not a number of statements: %q", line)
		}
		old := blocks[fields[0]]
		blocks[fields[0]] = block{statements: statements, executed: old.executed || fields[2] != "0"}
	}
	return blocks, lines.Err()
}

// judge prints the coverage of the packages in and below the folder tree, and
// returns an error if it is too low. A tree without statements is an error too:
// its name is wrong or its tests did not run.
func judge(blocks map[string]block, tree string, least float64, out io.Writer) error {
	total, executed := 0, 0
	for position, b := range blocks {
		file, _, _ := strings.Cut(position, ":")
		if !strings.Contains(path.Dir(file)+"/", "/"+tree+"/") {
			continue
		}
		total += b.statements
		if b.executed {
			executed += b.statements
		}
	}
	if total == 0 {
		return fmt.Errorf("%s: the profile has no statement of it: is its name right, and did its tests run?", tree)
	}
	percent := 100 * float64(executed) / float64(total)
	if _, err := fmt.Fprintf(out, "coverage: %s %.1f %% of %d statements\n", tree, percent, total); err != nil {
		return err
	}
	if percent < least {
		return fmt.Errorf("%s: tests execute %.1f %% of the statements, and %g %% is the least: "+
			"`go tool cover -html` shows what they leave out", tree, percent, least)
	}
	return nil
}
