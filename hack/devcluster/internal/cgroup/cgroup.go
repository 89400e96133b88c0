// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Prefix is how the names of all cgroups of nodes begin.
const Prefix = "labguard-node-"

// Name is the cgroup of the node whose cluster has its folder at dir.
func Name(dir string) string {
	const enough = 6
	sum := sha256.Sum256([]byte(dir))
	return Prefix + hex.EncodeToString(sum[:enough])
}

const (
	// removeTimeout is how long processes may take to be gone after they were killed.
	removeTimeout = 10 * time.Second
	retryEvery    = 20 * time.Millisecond
)

// Remove ends every process in the cgroup called name and removes it from all
// hierarchies. One that is not there is no error.
func Remove(ctx context.Context, name string) error {
	all, err := mounted()
	if err != nil {
		return err
	}
	return removeFrom(ctx, all, name)
}

// Kill ends every process in the cgroup called name and in those below it, as far
// as they can be seen from here.
func Kill(name string) error {
	all, err := mounted()
	if err != nil {
		return err
	}
	for _, h := range all {
		dirs, err := tree(filepath.Join(h.point, name))
		if err != nil {
			return fmt.Errorf("list cgroups: %w", err)
		}
		for _, dir := range dirs {
			kill(filepath.Join(dir, "cgroup.procs"))
		}
	}
	return nil
}

func removeFrom(ctx context.Context, hierarchies []hierarchy, name string) error {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	ticker := time.NewTicker(retryEvery)
	defer ticker.Stop()
	for {
		var left []error
		for _, h := range hierarchies {
			left = append(left, removeTree(filepath.Join(h.point, name)))
		}
		err := errors.Join(left...)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("remove cgroup %s: %w", name, err)
		}
	}
}

// removeTree kills what is in the cgroup at dir and removes it, children first.
func removeTree(dir string) error {
	dirs, err := tree(dir)
	if err != nil {
		return err
	}
	for _, d := range slices.Backward(dirs) {
		kill(filepath.Join(d, "cgroup.procs"))
		if err := syscall.Rmdir(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", d, err)
		}
	}
	return nil
}

// tree is the cgroup at dir and all below it, parents first; nothing if it is not
// there.
func tree(dir string) ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	return dirs, err
}

func kill(procs string) {
	content, err := os.ReadFile(procs)
	if err != nil {
		return
	}
	for field := range strings.FieldsSeq(string(content)) {
		// 0 is a process outside of what this one can see, and would mean all of its
		// own group to kill.
		if pid, err := strconv.Atoi(field); err == nil && pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
