// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// tree fails if the checkout at dir has a change that is not committed, a new
// file included, and shows what differs: `make verify` has just generated
// everything anew, so a difference is most often a generated file that was
// forgotten.
func tree(ctx context.Context, dir string, out io.Writer) error {
	status, err := git(ctx, dir, "status", "--porcelain", "--untracked-files=all")
	if err != nil {
		return err
	}
	if status == "" {
		_, err := fmt.Fprintln(out, "tree: the checkout is what is committed")
		return err
	}
	diff, err := git(ctx, dir, "diff", "HEAD", "--stat", "--patch", "--no-color", "--no-ext-diff")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "%s\n%s\n", shorten(diff), status); err != nil {
		return err
	}
	return errors.New("the files above differ from the last commit (?? is a new file): " +
		"run `make generate`, then commit what changed")
}

// maxDiffLines is as much of a difference as anybody reads in a log.
const maxDiffLines = 200

func shorten(diff string) string {
	lines := strings.SplitN(diff, "\n", maxDiffLines+1)
	if len(lines) <= maxDiffLines {
		return diff
	}
	return strings.Join(lines[:maxDiffLines], "\n") + "\n... (`git diff HEAD` shows the rest)\n"
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	output, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return string(output), nil
}
