// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Commit is what something is made of that is given out.
type Commit struct {
	// Revision is its name, Time when it was made.
	Revision string
	Time     time.Time

	// root is the top folder of the checkout.
	root string
}

// shownChanges is how many files are named that differ from the commit.
const shownChanges = 5

// Read finds the commit that is checked out around dir. It refuses what would give things that nobody else can make again; things is what they are called.
func Read(ctx context.Context, dir, things string) (Commit, error) {
	root, err := git(ctx, dir, "rev-parse", "--show-toplevel")
	if err != nil {
		return Commit{}, fmt.Errorf("%s are made of a commit, so run this in a clone of labguard: %w", things, err)
	}
	status, err := git(ctx, root, "status", "--porcelain", "--untracked-files=normal")
	if err != nil {
		return Commit{}, err
	}
	if status != "" {
		return Commit{}, fmt.Errorf("%s are made of a commit, and the checkout differs from it: commit, stash or remove\n%s", things, shorten(status))
	}
	shallow, err := git(ctx, root, "rev-parse", "--is-shallow-repository")
	if err != nil {
		return Commit{}, err
	}
	if shallow == "true" {
		return Commit{}, errors.New("this clone has only some commits, so the version would not be that of other clones: git fetch --unshallow --tags")
	}
	described, err := git(ctx, root, "log", "-1", "--no-show-signature", "--format=%H %ct", "HEAD")
	if err != nil {
		return Commit{}, fmt.Errorf("look up the commit that is checked out: %w", err)
	}
	revision, seconds, _ := strings.Cut(described, " ")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return Commit{}, fmt.Errorf("read the time of commit %s: %w", revision, err)
	}
	return Commit{root: root, Revision: revision, Time: time.Unix(unix, 0).UTC()}, nil
}

func shorten(status string) string {
	lines := strings.Split(status, "\n")
	if len(lines) > shownChanges {
		lines = append(lines[:shownChanges], fmt.Sprintf("and %d more", len(lines)-shownChanges))
	}
	return "  " + strings.Join(lines, "\n  ")
}

// Named says why a tag is not one of the commit.
func (c Commit) Named(ctx context.Context, tag string) error {
	revision, err := git(ctx, c.root, "rev-parse", "--verify", "--quiet", "refs/tags/"+tag+"^{commit}")
	switch {
	case err != nil:
		return fmt.Errorf("there is no tag %s in this clone: git fetch --tags, or git tag %s", tag, tag)
	case revision != c.Revision:
		return fmt.Errorf("tag %s names commit %s, and %s is checked out: git checkout %s", tag, revision, c.Revision, tag)
	default:
		return nil
	}
}

// Checkout writes the commit, and nothing else, to the folder dir. It is a clone, as the Go command reads revision and version from one.
func (c Commit) Checkout(ctx context.Context, dir string) error {
	if _, err := git(ctx, c.root, "clone", "--quiet", "--shared", "--no-checkout", "--template=", c.root, dir); err != nil {
		return fmt.Errorf("clone the commit: %w", err)
	}
	// Line ends and hooks of whoever does this have no say in what is compiled.
	if _, err := git(ctx, dir, "-c", "core.autocrlf=false", "-c", "core.hooksPath="+os.DevNull, "checkout", "--quiet", "--detach", c.Revision); err != nil {
		return fmt.Errorf("check out the commit: %w", err)
	}
	return nil
}

// gitVariables would have git look at another repository than the one in its folder; hooks have them.
var gitVariables = []string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"}

// Environment is that of this process without gitVariables, and with further ones.
func Environment(further ...string) []string {
	kept := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		key, _, _ := strings.Cut(variable, "=")
		return slices.Contains(gitVariables, key)
	})
	return append(kept, further...)
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env = dir, Environment("LC_ALL=C")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimRight(stdout.String(), "\n"), nil
}
