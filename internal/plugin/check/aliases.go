// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bytes"

	goyaml "sigs.k8s.io/yaml/goyaml.v3"
)

// MaxAliased is how many bytes the aliases of one document may stand for: reading YAML writes each of them out in full, and the library for it counts what
// it has to write out and not how long that is.
const MaxAliased = 8 << 20

// punctuation is what a value has around it in JSON: quotes and a comma.
const punctuation = 3

// aliases measures what aliases stand for, before they are written out.
type aliases struct {
	// sizes are those of values with an anchor, in bytes, none of more than MaxAliased+1.
	sizes map[*goyaml.Node]int64
	total int64
	// line is that of the alias with which the total passes MaxAliased; 0 if none does.
	line int
}

// aliased is how many bytes the aliases of a document stand for, and the line of the one that is too much, or 0.
func (d *document) aliased() (total int64, line int, err error) {
	if bytes.IndexByte(d.text, '&') < 0 || bytes.IndexByte(d.text, '*') < 0 {
		return 0, 0, nil
	}
	var top goyaml.Node
	if err := goyaml.Unmarshal(d.text, &top); err != nil {
		return 0, 0, err
	}
	measured := aliases{sizes: map[*goyaml.Node]int64{}}
	measured.walk(&top)
	return measured.total, measured.line, nil
}

// walk finds the aliases of a value as it is written. Each value is visited once.
func (a *aliases) walk(node *goyaml.Node) {
	if node.Kind == goyaml.AliasNode {
		a.total = min(a.total+a.size(node), MaxAliased+1)
		if a.total > MaxAliased && a.line == 0 {
			a.line = node.Line
		}
		return
	}
	for _, below := range node.Content {
		a.walk(below)
	}
}

// size is how long a value is once all of it is written out. A value within itself has no size; the library refuses it.
func (a *aliases) size(node *goyaml.Node) int64 {
	if node.Kind == goyaml.AliasNode && node.Alias != nil {
		node = node.Alias
	}
	if known, found := a.sizes[node]; found {
		return known
	}
	if node.Anchor != "" {
		a.sizes[node] = 0
	}
	size := int64(len(node.Value)) + punctuation
	for _, below := range node.Content {
		size = min(size+a.size(below), MaxAliased+1)
	}
	if node.Anchor != "" {
		a.sizes[node] = size
	}
	return size
}
