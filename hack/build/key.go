// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// toolchain are the go settings that change what is compiled.
var toolchain = []string{"GOVERSION", "GOOS", "GOARCH", "GOAMD64", "GOARM64", "CGO_ENABLED", "GOFLAGS", "GOEXPERIMENT"}

// key names what t compiles to: the same inputs give the same key on every
// checkout, any other input another one. It reads files and asks the go command
// for its settings, but loads no package: it runs before every test run.
func key(ctx context.Context, t target) (string, error) {
	h := sha256.New()
	settings, err := goOutput(ctx, t.dir, append([]string{"env"}, toolchain...)...)
	if err != nil {
		return "", fmt.Errorf("ask go for its settings: %w", err)
	}
	part(h, "go", settings)
	part(h, "ldflags", []byte(t.ldflags))
	part(h, "tags", []byte(t.tags))
	part(h, "static", strconv.AppendBool(nil, t.static))
	for _, pkg := range t.packages {
		part(h, "package", []byte(pkg))
	}
	if err := hashFiles(h, t.dir); err != nil {
		return "", fmt.Errorf("hash %s: %w", t.dir, err)
	}
	return hex.EncodeToString(h.Sum(nil))[:20], nil
}

// hashFiles adds every file of the module that can reach the program. Embedded
// files can have any name, so only what the go command itself ignores is left
// out, and tests.
func hashFiles(h hash.Hash, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		hidden := path != dir && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_"))
		switch {
		case d.IsDir() && (hidden || name == "testdata"):
			return fs.SkipDir
		case d.IsDir(), hidden, strings.HasSuffix(name, "_test.go"), !d.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		part(h, filepath.ToSlash(relative), content)
		return nil
	})
}

// part adds one named input. The lengths keep two inputs from running into one
// another.
func part(h hash.Hash, name string, content []byte) {
	_, _ = fmt.Fprintf(h, "%d %d\n", len(name), len(content))
	_, _ = io.WriteString(h, name)
	_, _ = h.Write(content)
}
