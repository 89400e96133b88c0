// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	kubernetesjson "sigs.k8s.io/json"
)

// maxListDepth is how deep lists may lie in lists.
const maxListDepth = 4

// Object is one object of a file.
type Object struct {
	APIVersion, Kind, Namespace, Name string

	raw []byte
	in  *document
	// path is where it lies in its document: empty, or in lists.
	path []any
	// generated says that the API server gives it its name.
	generated bool
}

// Named says whether it has a name of its own.
func (o *Object) Named() bool { return o.Name != "" && !o.generated }

// Place is where the object begins.
func (o *Object) Place() Place { return o.PlaceOf() }

// PlaceOf is where a field of the object stands, or what is nearest to it.
func (o *Object) PlaceOf(path ...any) Place {
	return o.in.at(o.in.find(append(append([]any{}, o.path...), path...)))
}

// JSON is the object as JSON. Nobody changes it.
func (o *Object) JSON() []byte { return o.raw }

// group is the group of the object's API.
func (o *Object) group() string {
	if group, _, found := strings.Cut(o.APIVersion, "/"); found {
		return group
	}
	return ""
}

// unread says why something is not taken for an object: it is skipped if it is for somebody else, and broken if somebody meant it to be one.
func (p *Parsed) unread(at Place, raw []byte, why error) {
	if meant(raw) {
		p.broken(at, why.Error())
		return
	}
	p.skip(at, why.Error())
}

// meant says whether something was meant to be an object of a cluster: it has an apiVersion, and a kind or metadata. Chart.yaml has an apiVersion alone, and
// values of charts may have a kind.
func meant(raw []byte) bool {
	var fields map[string]json.RawMessage
	if kubernetesjson.UnmarshalCaseSensitivePreserveInts(raw, &fields) != nil {
		return false
	}
	text := func(name string) string {
		var value string
		_ = json.Unmarshal(fields[name], &value) // what is no text is none
		return value
	}
	version, metadata := text("apiVersion"), bytes.TrimSpace(fields["metadata"])
	return version != "" && !strings.HasPrefix(version, kustomizeGroup+"/") && (text("kind") != "" || bytes.HasPrefix(metadata, []byte("{")))
}

// head is what tells objects apart.
type head struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name         string `json:"name"`
		GenerateName string `json:"generateName"`
		Namespace    string `json:"namespace"`
	} `json:"metadata"`
	Items items `json:"items"`
}

// items are those of a list; of more than MaxDocuments one more than that.
type items []json.RawMessage

// UnmarshalJSON reads no more than that, as the shortest item has two bytes and a file may have millions.
func (i *items) UnmarshalJSON(raw []byte) error {
	if raw[0] != '[' {
		return json.Unmarshal(raw, (*[]json.RawMessage)(i))
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if _, err := decoder.Token(); err != nil {
		return err
	}
	*i = items{}
	for decoder.More() && len(*i) <= MaxDocuments {
		var item json.RawMessage
		if err := decoder.Decode(&item); err != nil {
			return err
		}
		*i = append(*i, item)
	}
	return nil
}

var (
	errNoObject = errors.New("it is no Kubernetes object: it has no apiVersion and kind")
	errTooDeep  = errors.New("its lists lie too deep in lists")
)

// object takes an object, or those of a list. inherited is the apiVersion and kind that items of a typed list have.
func (p *Parsed) object(d *document, raw []byte, path []any, inherited string) error {
	var read head
	// As clients read it: keys that differ in case are other keys.
	if err := kubernetesjson.UnmarshalCaseSensitivePreserveInts(raw, &read); err != nil {
		return unlike(raw, err)
	}
	if inherited != "" && read.Kind == "" {
		read.APIVersion, read.Kind, _ = strings.Cut(inherited, " ")
	}
	kind, list := strings.CutSuffix(read.Kind, "List")
	switch {
	case read.APIVersion == "" || read.Kind == "":
		return errNoObject
	case len(path)/2 >= maxListDepth:
		return errTooDeep
	case read.Items != nil, list && kind == "": // clients take for a list whatever has items, by whatever name
		of := ""
		if kind != "" {
			of = read.APIVersion + " " + kind
		}
		p.items(d, read.Items, path, of)
		return nil
	}
	object := &Object{APIVersion: read.APIVersion, Kind: read.Kind, Namespace: read.Metadata.Namespace, Name: read.Metadata.Name, raw: raw, in: d, path: path}
	if object.Name == "" && read.Metadata.GenerateName != "" {
		object.Name, object.generated = read.Metadata.GenerateName+"*", true
	}
	p.Objects = append(p.Objects, object)
	return nil
}

func (p *Parsed) items(d *document, items []json.RawMessage, path []any, of string) {
	for i, item := range items {
		if p.Said() >= MaxDocuments {
			if !p.full {
				p.full = true
				p.broken(d.at(d.find(path)), tooMany)
			}
			return
		}
		below := append(append([]any{}, path...), "items", i)
		if err := p.object(d, item, below, of); err != nil {
			p.unread(d.at(d.find(below)), item, err)
		}
	}
}

// unlike says why something cannot be an object.
func unlike(raw []byte, err error) error {
	if other, found := errors.AsType[*json.UnmarshalTypeError](err); found && other.Field != "" && bytes.Contains(raw, []byte(`"kind"`)) {
		return fmt.Errorf("it is no Kubernetes object: %s is a %s", other.Field, other.Value)
	}
	return errNoObject
}
