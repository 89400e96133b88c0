// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// startOwn starts a cluster that the test may do to what it likes.
func startOwn(t *testing.T, dir string, stderr io.Writer) *process {
	t.Helper()
	p, err := start(t.Context(), shared.program, dir, options{}, stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// assertGone waits until no process of p is left.
func assertGone(t *testing.T, p *process) {
	t.Helper()
	pids := map[string]int{"devcluster": p.PID}
	for name, c := range p.Components {
		pids[name] = c.PID
	}
	const parts = 6
	if len(pids) != parts {
		t.Errorf("cluster.json names %d processes, want %d: %v", len(pids), parts, pids)
	}
	for name, pid := range pids {
		eventually(t, name+" ends", func(context.Context) (bool, error) { return !alive(pid), nil })
	}
}

// alive reports whether pid runs. A process whose parent has not asked for its
// exit code yet does not.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, afterName, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(afterName, []byte("Z"))
}

func TestTwoClustersSideBySideAreInterruptedAndGoOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cluster")
	first := startOwn(t, dir, os.Stderr)
	if first.Registry == shared.Registry || first.PID == shared.PID {
		t.Fatalf("the second cluster is the first one: %+v", first.instance)
	}
	if _, err := first.kubectl(t.Context(), "create", "namespace", "kept"); err != nil {
		t.Fatal(err)
	}
	if _, err := Kubectl(t, "get", "namespace", "kept"); err == nil {
		t.Error("both clusters have the same objects")
	}
	var refusal bytes.Buffer
	if _, err := start(t.Context(), shared.program, dir, options{}, &refusal); err == nil || !strings.Contains(refusal.String(), "is in use by process") {
		t.Errorf("a second cluster in the folder of the first should be refused: %v, %s", err, &refusal)
	}
	if err := first.stop(); err != nil {
		t.Error(err)
	}
	assertGone(t, first)
	if _, err := os.Stat(filepath.Join(dir, "cluster.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a stopped cluster still describes itself: %v", err)
	}

	again := startOwn(t, dir, os.Stderr)
	if _, err := again.kubectl(t.Context(), "get", "namespace", "kept"); err != nil {
		t.Errorf("the data of the first run is lost: %v", err)
	}
	// What starts a cluster may be killed: its end of the pipe is closed then.
	if err := errors.Join(again.stdin.Close(), again.wait()); err != nil {
		t.Error(err)
	}
	assertGone(t, again)
}

func TestKilledClusterLeavesNoProcess(t *testing.T) {
	p := startOwn(t, t.TempDir(), os.Stderr)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	assertGone(t, p)
	if err := p.wait(); err == nil {
		t.Error("a killed cluster ended without an error")
	}
}

func TestClusterEndsWithTheLogOfAComponentThatDied(t *testing.T) {
	var stderr bytes.Buffer
	p := startOwn(t, t.TempDir(), &stderr)
	if err := syscall.Kill(p.Components["kube-scheduler"].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(); err == nil {
		t.Error("a cluster without its scheduler ended without an error")
	}
	for _, want := range []string{"kube-scheduler died early (signal: killed)", filepath.Join("logs", "kube-scheduler.log")} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("the failure does not say %q: %s", want, &stderr)
		}
	}
	assertGone(t, p)
}

func TestStartFailsWithTheLogOfTheComponentThatCannot(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "etcd"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	if _, err := start(t.Context(), shared.program, dir, options{}, &stderr); err == nil || !strings.Contains(stderr.String(), "etcd") {
		t.Errorf("want a failure that names etcd, got %v: %s", err, &stderr)
	}
}

func TestRegistryListensOnLoopbackOnly(t *testing.T) {
	host, _, err := net.SplitHostPort(RegistryHost())
	if err != nil || !net.ParseIP(host).IsLoopback() {
		t.Errorf("the registry is at %s: %v", RegistryHost(), err)
	}
}
