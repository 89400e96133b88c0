// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

const usage = `usage: go run ./hack/build [-C dir] target...

Compiles a target, or finds it compiled already, and links it into bin/.

targets:
  devcluster   hack/devcluster: the local Kubernetes of tests and demo
  flux         hack/flux: the controller of Flux, for test/flux
  helm         the tool line of hack/chart/go.mod: Helm, as the tests and documents use it
  node         hack/node: what a node of it needs besides, as a folder bin/node
  tools        every tool line of hack/tools/go.mod

LABGUARD_CACHE names the folder of compiled programs (default: labguard in the
user's cache folder). Entries that nobody used for 30 days are removed.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n", err)
		os.Exit(1)
	}
}

// run builds each target that args name. Progress and usage go to stderr.
func run(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { _, _ = io.WriteString(stderr, usage) }
	dir := flags.String("C", ".", "root of the checkout")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return flag.ErrHelp
	}
	root, err := filepath.Abs(*dir)
	if err != nil {
		return fmt.Errorf("find the checkout: %w", err)
	}
	cacheDir, err := cacheDir()
	if err != nil {
		return err
	}
	for _, name := range flags.Args() {
		define, known := targets[name]
		if !known {
			flags.Usage()
			return fmt.Errorf("unknown target %q", name)
		}
		if err := buildTarget(ctx, root, cacheDir, name, define, stderr); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func buildTarget(ctx context.Context, root, cacheDir, name string, define definition, stderr io.Writer) error {
	t, err := define(ctx, root)
	if err != nil {
		return err
	}
	store := store{dir: filepath.Join(cacheDir, name)}
	entry, err := store.get(ctx, t, newProgress(stderr, name))
	if err != nil {
		return err
	}
	bin := filepath.Join(root, "bin")
	if !t.folder {
		return link(entry, bin)
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("create bin: %w", err)
	}
	if err := linkOne(entry, filepath.Join(bin, name)); err != nil {
		return fmt.Errorf("link bin/%s: %w", name, err)
	}
	return nil
}

// cacheDir is where compiled programs live. It is outside the checkout, so that
// every checkout of this machine shares it.
func cacheDir() (string, error) {
	if dir := os.Getenv("LABGUARD_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache folder (set LABGUARD_CACHE to choose one): %w", err)
	}
	return filepath.Join(dir, "labguard"), nil
}

// link makes binDir/<program> point at each program of entry. A link that is
// right already is left alone, so that concurrent callers do not disturb one
// another.
func link(entry, binDir string) error {
	programs, err := os.ReadDir(entry)
	if err != nil {
		return fmt.Errorf("list what was built: %w", err)
	}
	if err := os.MkdirAll(binDir, 0o755); err != nil {
		return fmt.Errorf("create bin: %w", err)
	}
	for _, p := range programs {
		if strings.HasPrefix(p.Name(), ".") {
			continue
		}
		if err := linkOne(filepath.Join(entry, p.Name()), filepath.Join(binDir, p.Name())); err != nil {
			return fmt.Errorf("link bin/%s: %w", p.Name(), err)
		}
	}
	return nil
}

// linkOne replaces name by a rename, never by remove and create: another
// process may be about to start it.
func linkOne(to, name string) error {
	if now, err := os.Readlink(name); err == nil && now == to {
		return nil
	}
	temporary := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := os.Symlink(to, temporary); err != nil {
		return err
	}
	if err := os.Rename(temporary, name); err != nil {
		_ = os.Remove(temporary)
		return err
	}
	return nil
}
