// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// unused entries are removed after this time.
	unusedFor = 30 * 24 * time.Hour
	// A build that was killed leaves its temporary folder; none takes a day.
	abandonedAfter = 24 * time.Hour
	// temporary folders begin with this, which no key does.
	temporaryPrefix = ".building-"
)

// A store keeps the results of one target, a folder per key. A folder appears
// by a rename when all of it is there, so whoever sees it may use it.
type store struct {
	dir string
}

// get returns the folder with the programs of t, after compiling them if no
// earlier call did. Of several callers at once one compiles and the others
// wait for it.
func (s store) get(ctx context.Context, t target, p *progress) (string, error) {
	k, err := key(ctx, t)
	if err != nil {
		return "", err
	}
	entry := filepath.Join(s.dir, k)
	if s.use(entry) {
		return entry, nil
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return "", fmt.Errorf("create the cache: %w", err)
	}
	unlock, err := s.lock(ctx, p)
	if err != nil {
		return "", err
	}
	defer unlock()
	if s.use(entry) {
		return entry, nil
	}
	s.removeUnused(time.Now())
	return entry, s.build(ctx, t, entry, p)
}

// use reports whether entry is there, and marks it as used now.
func (s store) use(entry string) bool {
	now := time.Now()
	return os.Chtimes(entry, now, now) == nil
}

func (s store) build(ctx context.Context, t target, entry string, p *progress) error {
	temporary, err := os.MkdirTemp(s.dir, temporaryPrefix)
	if err != nil {
		return fmt.Errorf("create the cache: %w", err)
	}
	defer func() { _ = os.RemoveAll(temporary) }()
	if err := os.Chmod(temporary, 0o755); err != nil {
		return fmt.Errorf("create the cache: %w", err)
	}
	if err := compile(ctx, t, temporary, p); err != nil {
		return err
	}
	if err := os.Rename(temporary, entry); err != nil {
		return fmt.Errorf("keep the result: %w", err)
	}
	return nil
}

// lock takes the store for one builder. The kernel drops the lock when its
// holder ends in any way, so a killed build blocks nobody.
func (s store) lock(ctx context.Context, p *progress) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(s.dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		p.say("process %s is compiling already: waiting for it", holder(f))
		err = waitLock(ctx, f)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	if err := writeHolder(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	return func() { _ = f.Close() }, nil
}

// waitLock returns when f is locked. A blocking flock cannot be called off, so
// this one asks again and again.
func waitLock(ctx context.Context, f *os.File) error {
	const askEvery = 100 * time.Millisecond
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func writeHolder(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	return err
}

func holder(f *os.File) string {
	pid := make([]byte, 20)
	n, _ := f.ReadAt(pid, 0)
	if n == 0 {
		return "unknown"
	}
	return string(pid[:n])
}

// removeUnused deletes what nobody used for long. It deletes what it can: a
// full cache is no reason to refuse a build.
func (s store) removeUnused(now time.Time) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !e.IsDir() {
			continue
		}
		limit := unusedFor
		if strings.HasPrefix(e.Name(), temporaryPrefix) {
			limit = abandonedAfter
		}
		if now.Sub(info.ModTime()) > limit {
			_ = os.RemoveAll(filepath.Join(s.dir, e.Name()))
		}
	}
}
