// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bytes"

	goyaml "sigs.k8s.io/yaml/goyaml.v3"
)

// maxAliases is how many aliases are followed on the way to one field.
const maxAliases = 10

// lines finds the lines of fields. It is made when the first one is asked for: of most documents nobody asks.
type lines struct{ top *goyaml.Node }

// find is the line, from 1 within the document, at which a field stands; if it is not there, that of what is nearest above it.
func (d *document) find(path []any) int {
	if d.lines == nil {
		d.lines = &lines{}
		var node goyaml.Node
		// JSON may be indented with tabs, which YAML does not take; within its strings there are none.
		text := d.text
		if first := bytes.TrimSpace(text); len(first) > 0 && first[0] == '{' {
			text = bytes.ReplaceAll(text, []byte("\t"), []byte(" "))
		}
		if err := goyaml.Unmarshal(text, &node); err == nil && node.Kind == goyaml.DocumentNode && len(node.Content) > 0 {
			d.lines.top = node.Content[0]
		}
	}
	node, line := d.lines.top, 1
	if node == nil {
		return line
	}
	line = node.Line
	for _, step := range path {
		key, value := child(node, step)
		if value == nil {
			break
		}
		node, line = value, key.Line
	}
	return line
}

// child is the value at one step below a node, with what stands for it in the text: its key, or itself in a list.
func child(node *goyaml.Node, step any) (key, value *goyaml.Node) {
	for range maxAliases {
		if node.Kind != goyaml.AliasNode || node.Alias == nil {
			break
		}
		node = node.Alias
	}
	switch step := step.(type) {
	case int:
		if node.Kind == goyaml.SequenceNode && step < len(node.Content) {
			return node.Content[step], node.Content[step]
		}
	case string:
		if node.Kind != goyaml.MappingNode {
			return nil, nil
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i], node.Content[i+1]
			}
		}
	}
	return nil, nil
}
