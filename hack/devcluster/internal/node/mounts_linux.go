// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// enterMounts makes what this process and its children see of the file system:
// their own processes, empty folders instead of those in which others leave
// things, and the folder of the node at a short path.
func (p plan) enterMounts() error {
	// First nothing must reach the machine any more; then pods may want to share
	// mounts with the node.
	for _, propagation := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", unix.MS_REC|propagation, ""); err != nil {
			return fmt.Errorf("leave the mounts of the machine: %w", err)
		}
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := p.hide(); err != nil {
		return err
	}
	if err := bind(p.Bind, p.At); err != nil {
		return err
	}
	for name, value := range p.Sysctls {
		if err := maskSysctl(name, value); err != nil {
			return fmt.Errorf("hide the setting %s: %w", name, err)
		}
	}
	return nil
}

// hide mounts empty folders, and in them again what is to be kept.
func (p plan) hide() error {
	kept := map[string]*os.File{}
	defer func() {
		for _, f := range kept {
			_ = f.Close()
		}
	}()
	for _, dir := range p.Keep {
		if !slices.ContainsFunc(p.Hide, func(h string) bool { return strings.HasPrefix(dir, h+"/") }) {
			continue
		}
		// An open folder stays reachable when something is mounted over its path.
		f, err := os.Open(filepath.Clean(dir))
		if err != nil {
			return fmt.Errorf("keep %s: %w", dir, err)
		}
		kept[dir] = f
	}
	for _, dir := range p.Hide {
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
			return fmt.Errorf("hide %s: %w", dir, err)
		}
	}
	for dir, f := range kept {
		if err := bind("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), dir); err != nil {
			return err
		}
	}
	return nil
}

// bind makes the folder from visible at the path at, too.
func bind(from, at string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", at, err)
	}
	if err := unix.Mount(from, at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s at %s: %w", from, at, err)
	}
	return nil
}

// maskSysctl puts a file with value over a setting. A setting that this kernel
// does not have is left alone.
func maskSysctl(name, value string) error {
	target := "/proc/sys/" + name
	if _, err := os.Stat(target); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	file := "/run/sysctl/" + name
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(value+"\n"), 0o600); err != nil {
		return err
	}
	return unix.Mount(file, target, "", unix.MS_BIND, "")
}
