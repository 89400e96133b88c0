// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Enter moves this process into a cgroup called name, in every hierarchy.
func Enter(name string) error {
	all, err := mounted()
	if err != nil {
		return err
	}
	for _, h := range all {
		dir := filepath.Join(h.point, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
		if err := initialize(h, dir); err != nil {
			return fmt.Errorf("make cgroup %s: %w", dir, err)
		}
		if err := write(dir, "cgroup.procs", strconv.Itoa(os.Getpid())); err != nil {
			return fmt.Errorf("enter cgroup %s: %w", dir, err)
		}
	}
	return nil
}

// initialize gives a new cgroup what it does not inherit.
func initialize(h hierarchy, dir string) error {
	switch {
	case h.kind == unified:
		enableControllers(h.point)
		return nil
	case h.options != "cpuset":
		return nil
	}
	// A new one of cpuset has neither processors nor memory, and takes no process.
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		content, err := os.ReadFile(filepath.Join(h.point, file))
		if err != nil {
			return err
		}
		if err := write(dir, file, string(content)); err != nil {
			return err
		}
	}
	return nil
}

// MountRoot shows this process, which has a cgroup namespace of its own, its
// cgroup as the root of each hierarchy.
func MountRoot() error {
	all, err := mounted()
	if err != nil {
		return err
	}
	for _, h := range all {
		// One file system cannot be mounted twice at one place.
		if err := unix.Unmount(h.point, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount cgroup %s: %w", h.point, err)
		}
		if err := unix.Mount(h.kind, h.point, h.kind, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, h.options); err != nil {
			return fmt.Errorf("mount cgroup %s: %w", h.point, err)
		}
		if h.kind == unified {
			if err := leaveRoot(h.point); err != nil {
				return err
			}
		}
	}
	return nil
}

// leaveRoot moves the processes of the node below the root: version 2 gives
// controllers to cgroups only where none is in the one above.
func leaveRoot(root string) error {
	leaf := filepath.Join(root, "node")
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		return fmt.Errorf("make cgroup: %w", err)
	}
	for _, pid := range []int{os.Getppid(), os.Getpid()} {
		if err := write(leaf, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("enter cgroup %s: %w", leaf, err)
		}
	}
	enableControllers(root)
	return nil
}

// enableControllers hands on to the cgroups in dir what can be. What cannot, as a
// hierarchy of version 1 has it, is not missed.
func enableControllers(dir string) {
	for _, controller := range []string{"cpuset", "cpu", "io", "memory", "pids", "hugetlb"} {
		_ = write(dir, "cgroup.subtree_control", "+"+controller)
	}
}

func write(dir, file, content string) error {
	return os.WriteFile(filepath.Join(dir, file), []byte(content), 0)
}
