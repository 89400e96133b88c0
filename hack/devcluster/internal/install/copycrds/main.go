// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command copycrds copies the custom resource definitions of the cert-manager
// version in go.mod into the folder certmanager.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintf(os.Stderr, "copycrds: %v\n", err)
		os.Exit(1)
	}
}

// folder is where the package that embeds them looks for them.
const folder = "certmanager"

func run(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "deploy", "crds", "*.yaml"))
	if err != nil {
		return fmt.Errorf("find the definitions: %w", err)
	}
	if len(files) == 0 {
		return errors.New("the module has no definitions in deploy/crds")
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := root.WriteFile(filepath.Base(file), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
