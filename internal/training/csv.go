// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package training

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// maxRow is how many bytes one row of a CSV file may have, quoted line ends and columns that are left out included.
const maxRow = 16 << 10

// readCSV reads RFC 4180. A row that is none is reported, and reading goes on at the next line, so that one quotation mark too many does not swallow the
// rest of the file. Rows of empty fields, which spreadsheets leave behind, are no rows.
func readCSV(text []byte, read *collector) {
	at := cursor{rest: text, line: 1}
	at.skipBlank()
	separator := separatorOf(at.firstLine())
	names, size, fault := splitRow(at.rest, separator)
	columns, missing := columnsOf(names)
	switch {
	case fault != "":
		read.refuse(at.line, fault)
		return
	case missing != "":
		read.refuse(at.line, missing)
		return
	}
	at.advance(size)
	for at.skipBlank(); len(at.rest) > 0; at.skipBlank() {
		if read.full() {
			read.refuse(at.line, tooMany)
			return
		}
		values, size, fault := splitRow(at.rest, separator)
		if fault == "" && len(values) != len(columns) {
			fault = fmt.Sprintf("has %d fields, and the header has %d", len(values), len(columns))
		}
		if fault != "" {
			read.problem(at.line, "", fault)
			at.advance(len(at.firstLine()))
			continue
		}
		if slices.ContainsFunc(values, func(value string) bool { return strings.TrimSpace(value) != "" }) {
			read.take(at.line, entryOf(columns, values))
		}
		at.advance(size)
	}
}

// entryOf are the values of the columns that are read.
func entryOf(columns, values []string) entry {
	fields := entry{}
	for i, column := range columns {
		if column != "" {
			fields[column] = values[i]
		}
	}
	return fields
}

// cursor is a place in a file.
type cursor struct {
	rest []byte
	line int
}

func (c *cursor) advance(size int) {
	c.line += bytes.Count(c.rest[:size], []byte("\n"))
	c.rest = c.rest[size:]
}

// firstLine is the line at the cursor, with its end.
func (c *cursor) firstLine() []byte {
	if end := bytes.IndexByte(c.rest, '\n'); end >= 0 {
		return c.rest[:end+1]
	}
	return c.rest
}

// skipBlank goes to the next line that has more than spaces.
func (c *cursor) skipBlank() {
	c.advance(len(c.rest) - len(bytes.TrimLeft(c.rest, " \t\r\n")))
}

// separatorOf finds out what separates columns: a semicolon if it makes more columns of the header than a comma does, as in spreadsheets of countries
// that write decimals with a comma.
func separatorOf(header []byte) byte {
	count := func(separator string) (found int) {
		for name := range strings.SplitSeq(string(header), separator) {
			if slices.Contains(known, fieldName(strings.Trim(strings.TrimSpace(name), `"`))) {
				found++
			}
		}
		return found
	}
	if count(";") > count(",") {
		return ';'
	}
	return ','
}

// fieldName is the name of a column or key as this package has it.
func fieldName(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// columnsOf are the fields of the columns, empty for one that is left out, and what the header lacks.
func columnsOf(names []string) (columns []string, missing string) {
	for _, name := range names {
		column := fieldName(name)
		switch {
		case !slices.Contains(known, column):
			column = ""
		case slices.Contains(columns, column):
			return nil, "has the column " + column + " twice; nothing of the file was read"
		}
		columns = append(columns, column)
	}
	var lacking []string
	for _, field := range required {
		if !slices.Contains(columns, field) {
			lacking = append(lacking, field)
		}
	}
	if len(lacking) > 0 {
		return nil, "the first row names the columns, such as subject,issuer,course,completed,expires,evidence, and lacks " +
			strings.Join(lacking, ", ") + "; nothing of the file was read"
	}
	return columns, ""
}

// splitRow takes the first row of a text apart. It returns its fields and its size with the line end, or what is wrong with it.
func splitRow(text []byte, separator byte) (fields []string, size int, fault string) {
	whole := len(text) <= maxRow
	text = text[:min(len(text), maxRow)]
	for {
		field, end, fault := nextField(text[size:], separator)
		switch size += end; {
		case size == len(text) && !whole:
			return nil, 0, "is longer than 16 KiB, or has a quotation mark that is not closed"
		case fault != "":
			return nil, 0, fault
		}
		fields = append(fields, field)
		if lineEnd := lineEndOf(text[size:]); lineEnd > 0 || size == len(text) {
			return fields, size + lineEnd, ""
		}
		size++
	}
}

// nextField takes the first field of a text. It returns the field and where it ends: at the separator, at the line end or at the end of the text.
func nextField(text []byte, separator byte) (field string, end int, fault string) {
	if len(text) > 0 && text[0] == '"' {
		return quotedField(text, separator)
	}
	for end < len(text) && text[end] != separator && lineEndOf(text[end:]) == 0 {
		end++
	}
	if bytes.IndexByte(text[:end], '"') >= 0 {
		return "", end, "has a quotation mark inside of a field: put the field in quotation marks, and write two for the one inside"
	}
	return string(text[:end]), end, ""
}

// quotedField is nextField where the field is in quotation marks, of which two stand for one.
func quotedField(text []byte, separator byte) (field string, end int, fault string) {
	var value strings.Builder
	for end = 1; ; end++ {
		mark := bytes.IndexByte(text[end:], '"')
		if mark < 0 {
			return "", len(text), "has a quotation mark that is not closed"
		}
		value.Write(text[end : end+mark])
		end += mark + 1
		if end == len(text) || text[end] == separator || lineEndOf(text[end:]) > 0 {
			return value.String(), end, ""
		}
		if text[end] != '"' {
			return "", end, "has text behind a field in quotation marks"
		}
		value.WriteByte('"')
	}
}

// lineEndOf is how many bytes the line end has that a text begins with; 0 if it begins with none.
func lineEndOf(text []byte) int {
	switch {
	case bytes.HasPrefix(text, []byte("\n")):
		return 1
	case bytes.HasPrefix(text, []byte("\r\n")):
		return 2
	}
	return 0
}
