// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	kubernetesjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Bounds of what is read. A cluster takes no object of more than 3 MiB.
const (
	// MaxFile is how many bytes one file may have, MaxDocuments how many documents, and how many objects it and all files.
	MaxFile      = 32 << 20
	MaxDocuments = 50000
)

// Place is where something stands. Line counts from 1; 0 is the file as a whole.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
}

func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// Remark is what has to be said of a place: why it is not looked at, or why it cannot be read.
type Remark struct {
	Place

	Text string `json:"text"`
}

// document is one document of a file, as text.
type document struct {
	file string
	text []byte
	// before is how many lines of the file come before it.
	before int
	lines  *lines
	// last is its last line, once that was asked for.
	last int
}

// at is a line of the document, from 1. YAML counts more characters as the end of a line than editors do: no line is beyond the last.
func (d *document) at(line int) Place {
	if d.last == 0 {
		d.last = bytes.Count(d.text, []byte("\n")) + 1
	}
	return Place{File: d.file, Line: d.before + min(max(line, 1), d.last)}
}

// Parsed is what one file has.
type Parsed struct {
	Objects []*Object
	// Skipped is what is no Kubernetes object, Broken what cannot be read.
	Skipped, Broken []Remark
	// Aliased is how many bytes aliases stand for.
	Aliased int64

	// full says that there was no room for all objects.
	full bool
}

// Said is how many objects and remarks there are.
func (p *Parsed) Said() int { return len(p.Objects) + len(p.Skipped) + len(p.Broken) }

// Parse reads one file of YAML or JSON with any number of objects. What is broken does not keep the rest of the file from being read.
func Parse(file string, content []byte) Parsed {
	var all Parsed
	switch problem := notText(content); {
	case len(content) > MaxFile:
		all.broken(Place{File: file}, fmt.Sprintf("the file has more than %d MiB: split it, or name the directory of the manifests alone", MaxFile>>20))
		return all
	case problem != "":
		all.broken(Place{File: file}, problem)
		return all
	}
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	if trimmed := bytes.TrimSpace(content); len(trimmed) == 0 {
		all.skip(Place{File: file}, "it is empty")
		return all
	} else if trimmed[0] == '{' && all.concatenated(file, content) {
		return all
	}
	documents := split(file, content)
	if len(documents) > MaxDocuments {
		all.broken(Place{File: file}, tooMany)
		return all
	}
	for _, one := range documents {
		all.yaml(one)
	}
	return all
}

var tooMany = fmt.Sprintf("the file has more than %d documents or objects: split it, or name the directory of the manifests alone", MaxDocuments)

// yaml reads a document of YAML.
func (p *Parsed) yaml(d *document) {
	size, line, err := d.aliased()
	if err != nil {
		p.broken(d.failed(err))
		return
	}
	p.Aliased += size
	switch {
	case line > 0:
		p.broken(d.at(line), fmt.Sprintf("the aliases of the document stand for more than %d MiB: write out once what each stands for, or split the document", MaxAliased>>20))
		return
	case p.Aliased > MaxFile:
		p.broken(d.at(d.find(nil)), fmt.Sprintf("the aliases of the file stand for more than %d MiB: write out once what each stands for, or split the file", MaxFile>>20))
		return
	}
	raw, err := yaml.YAMLToJSONStrict(d.text)
	if err != nil {
		p.broken(d.failed(err))
		return
	}
	p.document(d, raw)
}

func (p *Parsed) skip(at Place, why string) { p.Skipped = append(p.Skipped, Remark{at, why}) }

func (p *Parsed) broken(at Place, why string) { p.Broken = append(p.Broken, Remark{at, why}) }

func notText(content []byte) string {
	head := content[:min(len(content), 8<<10)]
	switch {
	case bytes.IndexByte(head, 0) >= 0:
		return "it is no text: manifests are YAML or JSON, in UTF-8"
	case !utf8.Valid(content):
		return "it is not in UTF-8: store it anew in that encoding"
	default:
		return ""
	}
}

// concatenated reads JSON objects that follow each other. It is false, and has read nothing, if that is not what the file has.
func (p *Parsed) concatenated(file string, content []byte) bool {
	var found []*document
	decoder := json.NewDecoder(bytes.NewReader(content))
	line, counted := 0, 0
	for decoder.More() {
		var raw json.RawMessage
		begun := int(decoder.InputOffset())
		if err := decoder.Decode(&raw); err != nil {
			return false
		}
		begun += bytes.Index(content[begun:], raw[:1])
		line += bytes.Count(content[counted:begun], []byte("\n"))
		counted = begun
		found = append(found, &document{file: file, text: raw, before: line})
		if len(found) > MaxDocuments {
			p.broken(Place{File: file}, tooMany)
			return true
		}
	}
	for _, one := range found {
		p.json(one)
	}
	return true
}

// json reads a document of JSON. A key that stands twice is no more taken than in YAML: who reads it decides which of them counts.
func (p *Parsed) json(d *document) {
	var fields any
	twice, err := kubernetesjson.UnmarshalStrict(d.text, &fields, kubernetesjson.DisallowDuplicateFields)
	if err == nil && len(twice) > 0 {
		err = twice[0]
	}
	if err != nil {
		p.broken(d.at(d.find(nil)), "it is no JSON that can be read: "+err.Error())
		return
	}
	p.document(d, d.text)
}

// split cuts a file at the lines that begin with ---, as kubectl does. Of more than MaxDocuments it gives one more than that.
func split(file string, content []byte) []*document {
	var all []*document
	begin, before, line := 0, 0, 0
	end := func(until int) {
		if text := content[begin:until]; len(bytes.TrimSpace(text)) > 0 {
			all = append(all, &document{file: file, text: text, before: before})
		}
	}
	for at := 0; at < len(content) && len(all) <= MaxDocuments; line++ {
		next := len(content)
		if length := bytes.IndexByte(content[at:], '\n'); length >= 0 {
			next = at + length + 1
		}
		if rest, found := bytes.CutPrefix(content[at:next], []byte("---")); found && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0]))) {
			end(at)
			begin, before = at+len("---"), line // what follows in the same line belongs to the document
		}
		at = next
	}
	end(len(content))
	return all
}

var lineOfError = regexp.MustCompile(`line (\d+)`)

// failed says where and why a document is no YAML.
func (d *document) failed(err error) (Place, string) {
	text := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
	text = strings.TrimPrefix(strings.TrimPrefix(text, "yaml: "), "unmarshal errors:\n  ")
	at := d.at(1)
	if match := lineOfError.FindStringSubmatch(text); match != nil {
		if line, err := strconv.Atoi(match[1]); err == nil {
			at = d.at(line)
		}
		text = strings.TrimPrefix(strings.TrimPrefix(text, match[0]), ": ")
	}
	if bytes.Contains(d.text, []byte("{{")) {
		return at, "it is no YAML as it stands, and looks like a template: render it first, as with helm template CHART | kubectl labguard check -f -"
	}
	text, _, _ = strings.Cut(text, "\n")
	return at, "it is no YAML that can be read: " + text
}

// document takes what one document has, as JSON.
func (p *Parsed) document(d *document, raw []byte) {
	if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return // a document of comments alone
	}
	if err := p.object(d, raw, nil, ""); err != nil {
		p.unread(d.at(d.find(nil)), raw, err)
	}
}
