// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package training

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
)

const (
	noJSON  = "is no JSON from here on: the rest was not read"
	noList  = "has to be a list of objects, or an object with such a list as records"
	noMore  = "has something behind its end"
	twoList = "has records twice"
	tooMany = "is one record more than 100000: split the file; nothing of it was kept"
)

// readJSON reads a list of objects, or an object with such a list as records. Other keys of either are left out.
func readJSON(text []byte, read *collector) {
	file := jsonFile{decoder: json.NewDecoder(bytes.NewReader(text)), text: text, line: 1}
	if fault := file.read(read); fault != "" {
		file.find(int(file.decoder.InputOffset()))
		read.problem(file.line, "", fault)
	}
}

// jsonFile is a file and the line of a place in it.
type jsonFile struct {
	decoder *json.Decoder
	text    []byte
	at      int
	line    int
}

// find sets the line to that of a place in the file at or behind the last one.
func (f *jsonFile) find(place int) {
	place = min(max(place, f.at), len(f.text))
	f.line += bytes.Count(f.text[f.at:place], []byte("\n"))
	f.at = place
}

// findNext sets the line to that of the next value.
func (f *jsonFile) findNext() {
	offset := int(f.decoder.InputOffset())
	rest := f.text[min(offset, len(f.text)):]
	f.find(offset + len(rest) - len(bytes.TrimLeft(rest, " \t\r\n,:")))
}

// read reads the file and returns what ended it early.
func (f *jsonFile) read(read *collector) string {
	token, err := f.decoder.Token()
	if err != nil {
		return noJSON
	}
	var fault string
	switch token {
	case json.Delim('['):
		fault = f.list(read)
	case json.Delim('{'):
		fault = f.object(read)
	default:
		fault = noList
	}
	if fault != "" {
		return fault
	}
	if _, err := f.decoder.Token(); !errors.Is(err, io.EOF) {
		return noMore
	}
	return ""
}

// object reads an object with records, behind its first brace.
func (f *jsonFile) object(read *collector) string {
	found := false
	for f.decoder.More() {
		name, err := f.decoder.Token()
		if err != nil {
			return noJSON
		}
		if name != "records" {
			var skipped json.RawMessage
			if err := f.decoder.Decode(&skipped); err != nil {
				return noJSON
			}
			continue
		}
		if found {
			return twoList
		}
		found = true
		switch bracket, err := f.decoder.Token(); {
		case err != nil:
			return noJSON
		case bracket != json.Delim('['):
			return noList
		}
		if fault := f.list(read); fault != "" {
			return fault
		}
	}
	if _, err := f.decoder.Token(); err != nil {
		return noJSON
	}
	if !found {
		return noList
	}
	return ""
}

// list reads a list of records, behind its first bracket.
func (f *jsonFile) list(read *collector) string {
	for f.decoder.More() {
		if read.full() {
			*read = collector{}
			return tooMany
		}
		f.findNext()
		var value json.RawMessage
		if err := f.decoder.Decode(&value); err != nil {
			return noJSON
		}
		fields, wrong := fieldsOf(value)
		for _, w := range wrong {
			read.problem(f.line, w.Field, w.Text)
		}
		if len(wrong) == 0 {
			read.take(f.line, fields)
		}
	}
	if _, err := f.decoder.Token(); err != nil {
		return noJSON
	}
	return ""
}

// fieldsOf are the known fields of an object, which is valid JSON.
func fieldsOf(value json.RawMessage) (entry, []Problem) {
	decoder := json.NewDecoder(bytes.NewReader(value))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, []Problem{{Text: "is no object"}}
	}
	fields, seen := entry{}, []string{}
	var wrong []Problem
	for decoder.More() {
		var raw json.RawMessage
		key, err := decoder.Token()
		if err == nil {
			err = decoder.Decode(&raw)
		}
		name, isText := key.(string)
		if err != nil || !isText {
			return nil, []Problem{{Text: "is no object"}}
		}
		field := fieldName(name)
		if !slices.Contains(known, field) {
			continue
		}
		if slices.Contains(seen, field) {
			wrong = append(wrong, Problem{Field: field, Text: "is there twice"})
			continue
		}
		seen = append(seen, field)
		var text *string
		if err := json.Unmarshal(raw, &text); err != nil {
			wrong = append(wrong, Problem{Field: field, Text: "is no text in quotation marks"})
			continue
		}
		if text != nil {
			fields[field] = *text
		}
	}
	return fields, wrong
}
