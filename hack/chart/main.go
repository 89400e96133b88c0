// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	root := flag.String("root", filepath.Join("..", ".."), "the checkout")
	flag.Parse()
	if err := write(*root); err != nil {
		fmt.Fprintf(os.Stderr, "chart: %v\n", err)
		os.Exit(1)
	}
}

// write writes the generated templates anew, and removes those of what is not there any more.
func write(root string) error {
	templates, err := generate(root)
	if err != nil {
		return err
	}
	dir := filepath.Join(root, templatesDir)
	if err := os.RemoveAll(filepath.Join(dir, definitionsDir)); err != nil {
		return fmt.Errorf("remove the definitions of before: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, definitionsDir), 0o755); err != nil {
		return fmt.Errorf("make a folder for the definitions: %w", err)
	}
	for path, content := range templates {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(content), 0o644); err != nil {
			return fmt.Errorf("write a template: %w", err)
		}
	}
	return nil
}
