// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/labguard/labguard/hack/release/source"
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
	dir := flags.String("C", ".", "folder in the checkout of labguard")
	tag := flags.String("tag", "", "the version, such as v0.1.0: a tag of the commit that is checked out")
	output := flags.String("output", filepath.Join("dist", "krew"), "where the archives and the manifest go")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("%q is no flag: see -help", flags.Arg(0))
	case !version.MatchString(*tag):
		return fmt.Errorf("-tag %q: write v and a semantic version, such as make krew TAG=v0.1.0", *tag)
	}
	from, err := source.Read(ctx, *dir, "archives")
	if err != nil {
		return err
	}
	if err := from.Named(ctx, *tag); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "labguard-krew-")
	if err != nil {
		return fmt.Errorf("make a folder to compile in: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	made := maker{from: from, tag: *tag, checkout: filepath.Join(scratch, "checkout"), output: *output, told: told}
	return made.all(ctx)
}

// maker makes all archives of a version.
type maker struct {
	from source.Commit
	tag  string
	// checkout is the clone that is compiled, output where the results go.
	checkout, output string
	told             io.Writer
}

func (m *maker) all(ctx context.Context) error {
	if err := m.from.Checkout(ctx, m.checkout); err != nil {
		return err
	}
	template, err := os.ReadFile(filepath.Join(m.checkout, ".krew.yaml"))
	if err != nil {
		return fmt.Errorf("read the template of the manifest: %w", err)
	}
	if err := os.MkdirAll(m.output, 0o750); err != nil {
		return fmt.Errorf("make the folder of the archives: %w", err)
	}
	manifest, err := fill(template, m.tag, func(name string) (string, error) {
		_, _ = fmt.Fprintln(m.told, "making "+name)
		archive, err := m.archive(ctx, name)
		if err != nil {
			return "", err
		}
		return sumOf(archive), m.write(name, archive)
	})
	if err != nil {
		return err
	}
	return m.write("labguard.yaml", manifest)
}

func (m *maker) write(name string, content []byte) error {
	if err := os.WriteFile(filepath.Join(m.output, name), content, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// archive compiles the plugin for the platform that the name of an archive ends with, and packs it with the licence.
func (m *maker) archive(ctx context.Context, name string) ([]byte, error) {
	system, architecture, err := platformOf(name)
	if err != nil {
		return nil, err
	}
	platform := v1.Platform{OS: system, Architecture: architecture}
	compiled, err := source.Compile(ctx, m.checkout, "./cmd/kubectl-labguard", platform)
	if err != nil {
		return nil, err
	}
	if err := source.Check(compiled.Build, m.from.Revision, platform); err != nil {
		return nil, err
	}
	if stamped := compiled.Build.Main.Version; stamped != m.tag {
		return nil, fmt.Errorf("the Go command calls the version %s, and the tag is %s: has the commit two tags, or go.mod another major version?", stamped, m.tag)
	}
	program := "kubectl-labguard"
	if system == "windows" {
		program += ".exe"
	}
	licence, err := os.ReadFile(filepath.Join(m.checkout, "LICENSE"))
	if err != nil {
		return nil, fmt.Errorf("read the licence: %w", err)
	}
	return pack([]packed{{name: program, mode: 0o755, content: compiled.Content}, {name: "LICENSE", mode: 0o644, content: licence}}, m.from.Time)
}
