// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lifeline

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"testing"
)

// TestMain makes this test binary also a parent, which ties a child to itself,
// and that child. Both hold standard output open as long as they live.
func TestMain(m *testing.M) {
	switch os.Getenv("LIFELINE_TEST_ROLE") {
	case "parent":
		if err := parent(); err != nil {
			_, _ = os.Stderr.WriteString(err.Error())
		}
	case "child":
		lost := make(chan struct{})
		Hold(func() { close(lost) })
		_, _ = os.Stdout.WriteString("child is up\n")
		<-lost
	default:
		m.Run()
	}
}

func parent() error {
	line, err := New()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.CommandContext(context.Background(), self)
	child.Stdout = os.Stdout
	child.Env = append(os.Environ(), "LIFELINE_TEST_ROLE=child")
	line.Tie(child)
	return child.Run()
}

func TestKilledParentEndsItsChild(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "LIFELINE_TEST_ROLE=parent")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	if line, err := lines.ReadString('\n'); line != "child is up\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The pipe ends when its last holder, the child, does.
	if _, err := io.Copy(io.Discard, lines); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the parent was not killed")
	}
}

func TestProcessWithoutParentIsLeftAlone(t *testing.T) {
	Hold(func() { t.Error("lost a parent that it never had") })
}
