// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package documented

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Shell runs what a page tells a reader to type.
type Shell struct {
	// Dir is where the reader stands; pages speak of paths from the root of the repository.
	Dir string
	// Env is the whole environment.
	Env []string
}

// endsWithin bounds one block: a command that waits for something that does not come is to fail the test and not to stop it.
const endsWithin = 5 * time.Minute

// Run runs a block with sh, which ends at the first command that fails, and returns what it prints, errors included. It runs in a process group of its
// own, so that one that takes too long leaves nothing behind.
func (s Shell) Run(t testing.TB, block string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), endsWithin)
	defer cancel()
	command := exec.CommandContext(ctx, "sh", "-eu", "-c", block)
	command.Dir, command.Env = s.Dir, s.Env
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	out, err := command.CombinedOutput()
	t.Logf("%s\n%s", strings.TrimSpace(block), out)
	return string(out), err
}

// Must is Run, and a block that fails ends the test.
func (s Shell) Must(t testing.TB, block string) string {
	t.Helper()
	out, err := s.Run(t, block)
	if err != nil {
		t.Fatalf("%v:\n%s\n%s", err, block, out)
	}
	return out
}

// With replaces what a page leaves to the reader, or what is otherwise in a test: pairs of what the page says and what it is here. What the page does not
// say any more is an error.
func With(t testing.TB, block string, pairs ...string) string {
	t.Helper()
	for i := 0; i+1 < len(pairs); i += 2 {
		if !strings.Contains(block, pairs[i]) {
			t.Fatalf("the page does not say %q any more:\n%s", pairs[i], block)
		}
		block = strings.ReplaceAll(block, pairs[i], pairs[i+1])
	}
	return block
}
