//go:build e2e && linux

// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/labguard/labguard/internal/testutil/netns"
)

// traces are what a node could leave on the machine.
type traces struct {
	mounts, interfaces, sysctls []string
}

// changed are settings of the whole machine that a kubelet and a kube-proxy like
// to change.
var changed = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "net/ipv4/ip_forward",
	"net/netfilter/nf_conntrack_max",
}

// folders are those of the machine where programs of a node leave things if they
// can.
var folders = []string{"/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers", "/run/containerd", "/run/netns", "/opt/containerd", "/etc/cni"}

func lookAround(t *testing.T) traces {
	t.Helper()
	var found traces
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	found.mounts = strings.Split(string(mounts), "\n")
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		addresses, err := i.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		found.interfaces = append(found.interfaces, fmt.Sprint(i.Name, addresses))
	}
	for _, name := range changed {
		// One that is not there yet is not to come either.
		value, err := os.ReadFile("/proc/sys/" + name)
		found.sysctls = append(found.sysctls, fmt.Sprintf("%s: %s %t", name, bytes.TrimSpace(value), err == nil))
	}
	return found
}

// assertOnlyCgroup fails for each thing of a node that has gone but left it, other
// than its cgroup.
func (before traces) assertOnlyCgroup(t *testing.T) {
	t.Helper()
	after := lookAround(t)
	for what, lists := range map[string][2][]string{
		"mounts": {before.mounts, after.mounts}, "interfaces": {before.interfaces, after.interfaces}, "settings": {before.sysctls, after.sysctls},
	} {
		if !slices.Equal(lists[0], lists[1]) {
			t.Errorf("%s changed:\n%q\nbefore:\n%q", what, lists[1], lists[0])
		}
	}
	for _, folder := range folders {
		if _, err := os.Stat(folder); err == nil {
			t.Errorf("%s is there", folder)
		}
	}
}

// inside are the processes in the cgroup of a node, and the network namespaces
// that they and the node are in.
func inside(t *testing.T, cgroup string) (pids []int, networks map[string]bool) {
	t.Helper()
	networks = map[string]bool{}
	for _, pid := range processes(t) {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if err == nil && bytes.Contains(content, []byte("/"+cgroup)) {
			pids = append(pids, pid)
			if link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err == nil {
				networks[link] = true
			}
		}
	}
	return pids, networks
}

func processes(t *testing.T) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// cgroups are the folders of the cgroup in all hierarchies.
func cgroups(t *testing.T, name string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && d.IsDir() && d.Name() == name {
			found = append(found, path)
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// janitor is the process that cleans up after p.
func janitor(t *testing.T, p *process) int {
	t.Helper()
	for _, pid := range processes(t) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && bytes.Contains(line, []byte("janitor\x00"+p.Node.Cgroup)) {
			return pid
		}
	}
	t.Fatal("there is no janitor")
	return 0
}

func TestNodeLeavesNothingHoweverItEnds(t *testing.T) {
	if err := netns.Permitted(); err != nil {
		t.Skipf("skipped, since it needs a node: %v", err)
	}
	withNode := options{node: true}
	if _, err := build(t.Context(), withNode); err != nil {
		t.Fatal(err)
	}
	// It is long: names of sockets must not depend on it.
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 20))
	before := lookAround(t)
	before.assertOnlyCgroup(t)
	for _, c := range []struct {
		name string
		end  func(*process) error
		left bool
	}{
		{"interrupted", (*process).stop, false},
		{"standard input ends", func(p *process) error { return errors.Join(p.stdin.Close(), p.wait()) }, false},
		{"killed", func(p *process) error { return errors.Join(p.cmd.Process.Kill(), ignored(p.wait())) }, false},
		{"killed with its janitor", func(p *process) error {
			return errors.Join(syscall.Kill(janitor(t, p), syscall.SIGKILL), p.cmd.Process.Kill(), ignored(p.wait()))
		}, true},
		{"the node is killed", func(p *process) error {
			return errors.Join(syscall.Kill(p.Components["node"].PID, syscall.SIGKILL), ignored(p.wait()))
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := start(t.Context(), shared.program, dir, withNode, os.Stderr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = p.cmd.Process.Kill() })
			pids, networks := inside(t, p.Node.Cgroup)
			if len(pids) < 6 || len(networks) < 2 || len(cgroups(t, p.Node.Cgroup)) == 0 {
				t.Errorf("the node does not look like one: processes %v, networks %v, cgroups %v", pids, networks, cgroups(t, p.Node.Cgroup))
			}
			before.assertOnlyCgroup(t)
			if err := c.end(p); err != nil {
				t.Error(err)
			}
			if c.left {
				eventually(t, "the node ends", func(context.Context) (bool, error) { return len(remaining(pids)) == 0, nil })
				if len(cgroups(t, p.Node.Cgroup)) == 0 {
					t.Error("nobody was left to remove the cgroups, but somebody did")
				}
				clean := exec.CommandContext(t.Context(), shared.program, "clean", "--dir", dir)
				if out, err := clean.CombinedOutput(); err != nil {
					t.Errorf("clean: %v: %s", err, out)
				}
			}
			assertNothingLeft(t, before, p, pids, networks)
		})
	}
}

// ignored is for the error of a cluster that was killed.
func ignored(error) error { return nil }

func remaining(pids []int) []int {
	return slices.DeleteFunc(slices.Clone(pids), func(pid int) bool { return !alive(pid) })
}

func assertNothingLeft(t *testing.T, before traces, p *process, pids []int, networks map[string]bool) {
	t.Helper()
	eventually(t, "the cgroups are removed", func(context.Context) (bool, error) { return len(cgroups(t, p.Node.Cgroup)) == 0, nil })
	eventually(t, "the processes end", func(context.Context) (bool, error) { return len(remaining(pids)) == 0, nil })
	for name, c := range p.Components {
		eventually(t, name+" ends", func(context.Context) (bool, error) { return !alive(c.PID), nil })
	}
	for _, pid := range processes(t) {
		if link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err == nil && networks[link] {
			t.Errorf("process %d is in a network of the node", pid)
		}
	}
	before.assertOnlyCgroup(t)
}
