// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
)

// kustomizeGroup is the group of files for kustomize, which are no objects of a cluster.
const kustomizeGroup = "kustomize.config.k8s.io"

// Listed says whether a file of a directory is read, by its name.
func Listed(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(name)))
}

// ParseFile is Parse for a file of a tree, in which some files are for other tools and have to be rendered first. inChart says that Chart.yaml lies in the
// directory of the file, or beside its directory templates.
func ParseFile(file string, content []byte, inChart bool) Parsed {
	parent, name := filepath.Base(filepath.Dir(file)), filepath.Base(file)
	switch {
	case inChart && strings.Contains(filepath.ToSlash(file), "templates/") && bytes.Contains(content, []byte("{{")):
		return skipped(file, "it is a template of a Helm chart: render it first, with helm template CHART | kubectl labguard check -f -")
	case inChart && parent != "templates" && (name == "Chart.yaml" || strings.HasPrefix(name, "values")):
		return skipped(file, "it belongs to a Helm chart, and is no object: render the chart first, with helm template CHART | kubectl labguard check -f -")
	}
	parsed := Parse(file, content)
	forKustomize := func(one *Object) bool { return one.group() == kustomizeGroup }
	named := strings.TrimSuffix(name, filepath.Ext(name))
	if named == "kustomization" && len(parsed.Objects) == 0 && len(parsed.Broken) == 0 || slices.ContainsFunc(parsed.Objects, forKustomize) {
		parsed.Objects = slices.DeleteFunc(parsed.Objects, forKustomize)
		parsed.Skipped = []Remark{{Place{File: file}, "it is for kustomize: build it first, with kubectl kustomize DIRECTORY | kubectl labguard check -f -"}}
	}
	return parsed
}

func skipped(file, why string) Parsed { return Parsed{Skipped: []Remark{{Place{File: file}, why}}} }

// Add takes what another file has.
func (p *Parsed) Add(other Parsed) {
	p.Objects = append(p.Objects, other.Objects...)
	p.Skipped = append(p.Skipped, other.Skipped...)
	p.Broken = append(p.Broken, other.Broken...)
	p.Aliased += other.Aliased
}
