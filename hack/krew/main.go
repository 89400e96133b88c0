// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "krew: %v\n", err)
		os.Exit(1)
	}
}

// version is what Krew takes: v and a semantic version.
var version = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)

func run(ctx context.Context, arguments []string, told io.Writer) error {
	flags := flag.NewFlagSet("krew", flag.ContinueOnError)
	flags.SetOutput(told)
	tag := flags.String("tag", "", "the version, such as v0.1.0")
	output := flags.String("output", filepath.Join("dist", "krew"), "where the archives and the manifest go")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if !version.MatchString(*tag) {
		return fmt.Errorf("-tag %q: write v and a semantic version, such as v0.1.0", *tag)
	}
	if err := os.MkdirAll(*output, 0o750); err != nil {
		return err
	}
	clone, err := os.MkdirTemp("", "labguard-krew-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(clone) }()
	if err := cloned(ctx, clone); err != nil {
		return err
	}
	template, err := os.ReadFile(filepath.Join(clone, ".krew.yaml"))
	if err != nil {
		return err
	}
	sums := map[string]string{}
	manifest, err := fill(template, *tag, func(name string) (string, error) {
		_, _ = fmt.Fprintln(told, "making "+name)
		archive, err := archived(ctx, clone, name)
		if err != nil {
			return "", err
		}
		sums[name] = sumOf(archive)
		return sums[name], os.WriteFile(filepath.Join(*output, name), archive, 0o600)
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(*output, "labguard.yaml"), manifest, 0o600)
}

// cloned clones the commit that is checked out.
func cloned(ctx context.Context, clone string) error {
	changed, err := git(ctx, ".", "status", "--porcelain")
	switch {
	case err != nil:
		return err
	case changed != "":
		return errors.New("archives are made of a commit, and the checkout differs from it: commit, stash or remove what git status lists")
	}
	root, err := git(ctx, ".", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	revision, err := git(ctx, root, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	if _, err := git(ctx, root, "clone", "--quiet", "--shared", "--no-checkout", root, clone); err != nil {
		return err
	}
	_, err = git(ctx, clone, "checkout", "--quiet", "--detach", revision)
	return err
}

func git(ctx context.Context, dir string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, arguments...)...)
	var told bytes.Buffer
	command.Stderr = &told
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", arguments[0], err, bytes.TrimSpace(told.Bytes()))
	}
	return strings.TrimSpace(string(out)), nil
}

// archived compiles the plugin for the platform that the name of an archive ends with, and packs it with the licence.
func archived(ctx context.Context, clone, name string) ([]byte, error) {
	system, architecture, err := platformOf(name)
	if err != nil {
		return nil, err
	}
	program := "kubectl-labguard"
	if system == "windows" {
		program += ".exe"
	}
	file := filepath.Join(clone, program)
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", file, "./cmd/kubectl-labguard")
	command.Dir = clone
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture, "GOWORK=off")
	if out, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile for %s/%s: %w\n%s", system, architecture, err, bytes.TrimSpace(out))
	}
	seconds, err := git(ctx, clone, "log", "-1", "--format=%ct")
	if err != nil {
		return nil, err
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read the time of the commit: %w", err)
	}
	var files []packed
	for _, one := range []packed{{name: program, mode: 0o755}, {name: "LICENSE", mode: 0o644}} {
		if one.content, err = os.ReadFile(filepath.Join(clone, one.name)); err != nil {
			return nil, err
		}
		files = append(files, one)
	}
	if err := os.Remove(file); err != nil {
		return nil, err
	}
	return pack(files, time.Unix(unix, 0).UTC())
}
