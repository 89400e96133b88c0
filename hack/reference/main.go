// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	from := flag.String("from", "config/crd/bases", "folder with the CustomResourceDefinitions")
	to := flag.String("to", "docs/reference", "folder of the pages; other Markdown files in it are removed")
	flag.Parse()
	if err := run(*from, *to); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func run(from, to string) error {
	definitions, err := read(from)
	if err != nil {
		return err
	}
	pages, err := render(definitions)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	there, err := filepath.Glob(filepath.Join(to, "*.md"))
	if err != nil {
		return err
	}
	for _, path := range there {
		if _, stays := pages[filepath.Base(path)]; !stays {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for name, page := range pages {
		if err := os.WriteFile(filepath.Join(to, name), []byte(page), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// read reads the definitions of a folder, in the order of their kinds.
func read(dir string) ([]apiextensionsv1.CustomResourceDefinition, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, errors.New("no definition in " + dir)
	}
	var definitions []apiextensionsv1.CustomResourceDefinition
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var definition apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(content, &definition); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		definitions = append(definitions, definition)
	}
	slices.SortFunc(definitions, func(a, b apiextensionsv1.CustomResourceDefinition) int {
		return strings.Compare(a.Spec.Names.Kind, b.Spec.Names.Kind)
	})
	return definitions, nil
}
