// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestHierarchiesOfBothVersions(t *testing.T) {
	got := hierarchies(`22 28 0:21 / /proc rw,nosuid - proc none rw
34 28 0:30 / /sys/fs/cgroup/cpu rw,nosuid shared:9 - cgroup none rw,cpu,cpuacct
35 28 0:31 / /sys/fs/cgroup/systemd rw - cgroup none rw,xattr,release_agent=/lib/agent,name=systemd
36 28 0:32 / /sys/fs/cgroup/unified rw - cgroup2 none rw,nsdelegate
37 28 0:30 /inner /sys/fs/cgroup/cpu rw - cgroup none rw,cpu,cpuacct
38 28 0:33 / /mnt/cgroup rw - tmpfs cgroup rw
broken line
`)
	want := []hierarchy{
		{"/sys/fs/cgroup/systemd", "cgroup", "name=systemd"},
		{"/sys/fs/cgroup/unified", "cgroup2", ""},
		{"/sys/fs/cgroup/cpu", "cgroup", "cpu,cpuacct"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRemoveTakesAllBelowAndNothingElse(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"labguard-node-a/k8s.io/c1", "labguard-node-a/k8s.io/c2", "labguard-node-b/k8s.io"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	all := []hierarchy{{point: root}, {point: filepath.Join(root, "absent")}}
	if err := removeFrom(t.Context(), all, "labguard-node-a"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "labguard-node-a")); !os.IsNotExist(err) {
		t.Errorf("it is there still: %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, "labguard-node-b", "k8s.io")); err != nil {
		t.Errorf("another one is gone: %v", err)
	}
}

func TestNamesDifferByFolder(t *testing.T) {
	a, b := Name("/tmp/a"), Name("/tmp/b")
	if a == b || a != Name("/tmp/a") || !strings.HasPrefix(a, Prefix) {
		t.Errorf("got %s, %s", a, b)
	}
}
