// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/internal/plugin/tree"
)

// YAML is what to paste: the LabWorkloads, with a comment at each line that is new that says from which evidence.
func (p *Plan) YAML() (string, error) {
	var out strings.Builder
	for i := range p.Workloads {
		if i > 0 {
			out.WriteString("---\n")
		}
		if err := p.Workloads[i].yaml(&out); err != nil {
			return "", err
		}
	}
	return out.String(), nil
}

func (w *Workload) yaml(out *strings.Builder) error {
	head := "LabWorkload " + w.Name + " as it is: nothing is known to be missing"
	switch {
	case !w.New && len(w.comments) > 0:
		head = "LabWorkload " + w.Name + " as it is, with what is known to be missing"
	case w.New:
		head = "LabWorkload " + w.Name + ", new, for " + strings.Join(w.Of, ", ")
	}
	remark(out, "", head)
	text, err := json.Marshal(w.Manifest)
	if err != nil {
		return fmt.Errorf("write LabWorkload %s: %w", w.Name, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	node, err := readNode(decoder)
	if err != nil {
		return fmt.Errorf("write LabWorkload %s: %w", w.Name, err)
	}
	// The fields of TypeMeta stand the other way round in Go.
	if len(node.names) > 1 && node.names[0] == "kind" {
		node.names[0], node.names[1] = node.names[1], node.names[0]
		node.values[0], node.values[1] = node.values[1], node.values[0]
	}
	return w.writeFields(out, node, "", "")
}

// node is a value of JSON with its fields in the order of their declaration, which is the order in which people write them.
type node struct {
	scalar any
	names  []string
	values []node
	isList bool
}

func (n *node) isScalar() bool { return !n.isList && n.names == nil }

func readNode(decoder *json.Decoder) (node, error) {
	token, err := decoder.Token()
	if err != nil {
		return node{}, err
	}
	opening, nested := token.(json.Delim)
	if !nested {
		return node{scalar: token}, nil
	}
	read := node{isList: opening == '['}
	if !read.isList {
		read.names = []string{}
	}
	for decoder.More() {
		if !read.isList {
			name, err := decoder.Token()
			if err != nil {
				return node{}, err
			}
			text, isText := name.(string)
			if !isText {
				return node{}, errors.New("a field has no name")
			}
			read.names = append(read.names, text)
		}
		value, err := readNode(decoder)
		if err != nil {
			return node{}, err
		}
		read.values = append(read.values, value)
	}
	_, err = decoder.Token()
	return read, err
}

// writeFields writes the fields of an object.
func (w *Workload) writeFields(out *strings.Builder, of node, path, indentation string) error {
	for i, name := range of.names {
		at := strings.TrimPrefix(path+"."+name, ".")
		for _, text := range w.comments[at] {
			remark(out, indentation, text)
		}
		quoted, err := scalar(name)
		if err != nil {
			return err
		}
		out.WriteString(indentation + quoted + ":")
		if err := w.writeValue(out, of.values[i], at, indentation); err != nil {
			return err
		}
	}
	return nil
}

// writeValue writes a value behind the name of its field.
func (w *Workload) writeValue(out *strings.Builder, value node, path, indentation string) error {
	switch {
	case value.isScalar():
		text, err := scalar(value.scalar)
		if err != nil {
			return err
		}
		out.WriteString(" " + text + "\n")
		return nil
	case len(value.values) == 0 && value.isList:
		out.WriteString(" []\n")
		return nil
	case len(value.values) == 0:
		out.WriteString(" {}\n")
		return nil
	case !value.isList:
		out.WriteString("\n")
		return w.writeFields(out, value, path, indentation+"  ")
	}
	out.WriteString("\n")
	for i, item := range value.values {
		at := fmt.Sprintf("%s[%d]", path, i)
		for _, text := range w.comments[at] {
			remark(out, indentation, text)
		}
		if err := w.writeItem(out, item, at, indentation); err != nil {
			return err
		}
	}
	return nil
}

// writeItem writes an item of a list: the first field stands behind the dash.
func (w *Workload) writeItem(out *strings.Builder, item node, path, indentation string) error {
	var below strings.Builder
	var err error
	switch {
	case item.isScalar() || item.isList || len(item.values) == 0:
		err = w.writeValue(&below, item, path, indentation+"  ")
		out.WriteString(indentation + "-" + below.String())
	default:
		err = w.writeFields(&below, item, path, indentation+"  ")
		out.WriteString(indentation + "- " + strings.TrimPrefix(below.String(), indentation+"  "))
	}
	return err
}

// scalar is a value as YAML has it on one line, with nothing that commands a terminal: names and values come from others.
func scalar(value any) (string, error) {
	if text, isText := value.(string); isText && tree.Visible(text) != text {
		return tree.YAML(text)
	}
	text, err := yaml.Marshal(value)
	if err != nil {
		return "", err
	}
	line := strings.TrimSuffix(string(text), "\n")
	if value, isText := value.(string); isText && strings.Contains(line, "\n") { // one of many words
		return tree.YAML(value)
	}
	return line, nil
}

// remark is a comment. Names in it come from others, and nothing in them ends the line.
func remark(out *strings.Builder, indentation, text string) {
	out.WriteString(indentation + "# " + tree.Visible(text) + "\n")
}
