// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/labguard/labguard/hack/devcluster/internal/lifeline"
	"github.com/labguard/labguard/hack/devcluster/internal/thread"
)

// TestMain makes this test binary one of the programs that the tests start.
func TestMain(m *testing.M) {
	if len(os.Args) == 1 || strings.HasPrefix(os.Args[1], "-") {
		m.Run()
		return
	}
	switch os.Args[1] {
	case "fail":
		_, _ = os.Stderr.WriteString("first\nlisten tcp: bind: address already in use\n")
	case "stubborn":
		lost := make(chan struct{})
		lifeline.Hold(func() { close(lost) })
		signal.Ignore(syscall.SIGTERM)
		_, _ = os.Stdout.WriteString("up\n")
		<-lost
	}
}

func starter(t *testing.T) Starter {
	t.Helper()
	line, err := lifeline.New()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Starter{Path: self, Line: line, Thread: thread.New()}
}

func TestEarlyEndIsAFailureWithTheEndOfTheLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := starter(t).Start(t.Context(), "fail", log, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = p.Await(t.Context(), func(context.Context) error { return errors.New("never") })
	failure := (*EndedError)(nil)
	if !errors.As(err, &failure) || !failure.AddressInUse() {
		t.Fatalf("want a failure for a lost port, got %v", err)
	}
	for _, want := range []string{"fail died early (ended)", log, "first"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the failure does not say %q: %v", want, err)
		}
	}
}

func TestStubbornProcessIsKilled(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := starter(t).Start(t.Context(), "stubborn", log, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = p.Await(t.Context(), func(context.Context) error {
		if content, _ := os.ReadFile(log); len(content) == 0 {
			return errors.New("not up yet")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Stop(time.Millisecond)
	if failure := p.Failure(); !strings.Contains(failure.Error(), "killed") {
		t.Errorf("got %v", failure)
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	p, err := starter(t).Start(t.Context(), "stubborn", filepath.Join(t.TempDir(), "log"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop(0)
	ctx, cancel := context.WithTimeout(t.Context(), 2*probeEvery)
	defer cancel()
	err = p.Await(ctx, func(context.Context) error { return errors.New("no answer") })
	if !errors.Is(err, errNotReady) || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("got %v", err)
	}
}

func TestProgramThatIsNotThere(t *testing.T) {
	s := starter(t)
	s.Path = "no-such-program"
	if _, err := s.Start(t.Context(), "x", filepath.Join(t.TempDir(), "log"), nil); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
