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
)

// TestMain makes this test binary one of the programs that the tests start.
func TestMain(m *testing.M) {
	if len(os.Args) == 1 || strings.HasPrefix(os.Args[1], "-") {
		os.Exit(m.Run())
	}
	lifeline.Hold(func() { os.Exit(1) })
	switch os.Args[1] {
	case "fail":
		_, _ = os.Stderr.WriteString("first\nlisten tcp: bind: address already in use\n")
		os.Exit(3)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		_, _ = os.Stdout.WriteString("up\n")
		select {}
	}
}

func starter(t *testing.T) Starter {
	t.Helper()
	line, err := lifeline.New()
	if err != nil {
		t.Fatal(err)
	}
	return Starter{Path: os.Args[0], Line: line}
}

func TestEarlyEndIsAFailureWithTheEndOfTheLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := starter(t).Start("fail", log, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = p.Await(t.Context(), func(context.Context) error { return errors.New("never") })
	failure := (*Failure)(nil)
	if !errors.As(err, &failure) || !failure.AddressInUse() {
		t.Fatalf("want a failure for a lost port, got %v", err)
	}
	for _, want := range []string{"fail died early (exit status 3)", log, "first"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the failure does not say %q: %v", want, err)
		}
	}
}

func TestStubbornProcessIsKilled(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := starter(t).Start("stubborn", log, nil)
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
	p, err := starter(t).Start("stubborn", filepath.Join(t.TempDir(), "log"), nil)
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
	if _, err := s.Start("x", filepath.Join(t.TempDir(), "log"), nil); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
