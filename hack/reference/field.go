// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// elsewhere are types of Kubernetes, by two fields that no other type has together: their fields are described there.
var elsewhere = []struct{ one, other, name, address string }{
	{"matchLabels", "matchExpressions", "LabelSelector", "https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#LabelSelector"},
	{"lastTransitionTime", "observedGeneration", "Condition", "https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#Condition"},
}

// typeOf says what a field is. Of an object, or a list or map of objects, inner has its fields, and suffix says how one of them is written.
func typeOf(schema apiextensionsv1.JSONSchemaProps) (name string, inner *apiextensionsv1.JSONSchemaProps, suffix string) {
	switch {
	case schema.XIntOrString:
		return "integer or text", nil, ""
	case schema.Type == "array" && schema.Items != nil && schema.Items.Schema != nil:
		of, inner, below := typeOf(*schema.Items.Schema)
		return "list of " + of, inner, "[]" + below
	case schema.Type == "object" && schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil:
		of, inner, below := typeOf(*schema.AdditionalProperties.Schema)
		return "map to " + of, inner, "{}" + below
	case schema.Type == "object" && len(schema.Properties) > 0:
		if known := ofKubernetes(schema); known != "" {
			return known, nil, ""
		}
		return "object", &schema, ""
	default:
		return scalar(schema), nil, ""
	}
}

// ofKubernetes is a link to the type, if it is one of Kubernetes that is described elsewhere.
func ofKubernetes(schema apiextensionsv1.JSONSchemaProps) string {
	for _, known := range elsewhere {
		_, one := schema.Properties[known.one]
		_, other := schema.Properties[known.other]
		if one && other {
			return "[" + known.name + "](" + known.address + ")"
		}
	}
	return ""
}

func scalar(schema apiextensionsv1.JSONSchemaProps) string {
	switch {
	case schema.Type == "string" && schema.Format != "":
		return schema.Format
	case schema.Type == "string":
		return "text"
	case schema.Type == "":
		return "anything"
	default:
		return schema.Type
	}
}

// limits says what the schema demands of a field, in the order in which people ask.
func limits(schema apiextensionsv1.JSONSchemaProps, required bool) string {
	var said []string
	if required {
		said = append(said, "required")
	}
	if schema.Default != nil {
		said = append(said, "default `"+strings.Trim(string(schema.Default.Raw), `"`)+"`")
	}
	said = append(said, demands(schema)...)
	if schema.Items != nil && schema.Items.Schema != nil {
		if each := demands(*schema.Items.Schema); len(each) > 0 && schema.Items.Schema.Type != "object" {
			said = append(said, "each "+strings.Join(each, ", "))
		}
	}
	if keys := schema.XListMapKeys; len(keys) > 0 {
		said = append(said, "one for each "+codes(keys))
	} else if schema.XListType != nil && *schema.XListType == "set" {
		said = append(said, "no two alike")
	}
	return escape(strings.Join(said, "; "))
}

func demands(schema apiextensionsv1.JSONSchemaProps) []string {
	var said []string
	if len(schema.Enum) > 0 {
		var values []string
		for _, value := range schema.Enum {
			values = append(values, strings.Trim(string(value.Raw), `"`))
		}
		said = append(said, "one of "+codes(values))
	}
	if schema.Minimum != nil || schema.Maximum != nil {
		said = append(said, between(number(schema.Minimum), number(schema.Maximum), ""))
	}
	for _, size := range []struct {
		from, to *int64
		of       string
	}{
		{schema.MinLength, schema.MaxLength, " character"},
		{schema.MinItems, schema.MaxItems, " item"},
		{schema.MinProperties, schema.MaxProperties, " field"},
	} {
		if size.from != nil || size.to != nil {
			said = append(said, between(whole(size.from), whole(size.to), size.of))
		}
	}
	if schema.Pattern != "" {
		said = append(said, "like `"+schema.Pattern+"`")
	}
	return said
}

func between(from, to, of string) string {
	last := to
	if last == "" {
		last = from
	}
	if of != "" && last != "1" {
		of += "s"
	}
	switch {
	case to == "":
		return "at least " + from + of
	case from == "":
		return "at most " + to + of
	case from == to:
		return from + of
	default:
		return from + " to " + to + of
	}
}

func number(value *float64) string {
	if value == nil {
		return ""
	}
	return strconv.FormatFloat(*value, 'f', -1, 64)
}

func whole(value *int64) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(*value)
}

// cell is a text within a table: one line.
func cell(text string) string { return escape(strings.ReplaceAll(prose(text), "\n", " ")) }

// prose is a text of a schema as Markdown: what looks like a tag is not one.
func prose(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "<", "&lt;") }

func escape(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// anchor is the address of a heading within its page, as GitHub makes it.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r == ' ':
			return '-'
		default:
			return -1
		}
	}, heading)
}
