// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package training

import (
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The columns and keys that are read.
const (
	subjectField   = "subject"
	issuerField    = "issuer"
	courseField    = "course"
	completedField = "completed"
	expiresField   = "expires"
	evidenceField  = "evidence"
)

// maxField is how many bytes a value may have. The API allows a subject and a course fewer.
const (
	maxField   = 512
	maxSubject = 256
	maxCourse  = 128
)

var (
	required = []string{subjectField, issuerField, courseField, completedField}
	known    = []string{subjectField, issuerField, courseField, completedField, expiresField, evidenceField}
)

// entry is a line or an object: the values of known fields.
type entry map[string]string

// record checks an entry and returns the record, or everything that is wrong with it. A value that passes here passes the API too.
func (e entry) record() (Record, []Problem) {
	var wrong []Problem
	say := func(field, text string) { wrong = append(wrong, Problem{Field: field, Text: text}) }
	values := entry{}
	for _, field := range known {
		value := strings.TrimSpace(e[field])
		switch fault := textFault(value); {
		case fault != "":
			say(field, fault)
		default:
			values[field] = value
		}
	}
	r := Record{Subject: values[subjectField], Issuer: values[issuerField], Course: values[courseField], Evidence: values[evidenceField]}
	for _, field := range required {
		if value, fine := values[field]; fine && value == "" {
			say(field, "is empty")
		}
	}
	for _, check := range []struct {
		field string
		fault func(string) string
	}{{subjectField, subjectFault}, {issuerField, issuerFault}, {courseField, courseFault}, {evidenceField, evidenceFault}} {
		if value := values[check.field]; value != "" {
			if fault := check.fault(value); fault != "" {
				say(check.field, fault)
			}
		}
	}
	var fault string
	if r.Completed, fault = instant(values[completedField], 2200); fault != "" {
		say(completedField, fault)
	}
	if r.Expires, fault = instant(values[expiresField], 9999); fault != "" {
		say(expiresField, fault)
	}
	if !r.Completed.IsZero() && !r.Expires.IsZero() && !r.Expires.After(r.Completed) {
		say(expiresField, "is not later than completed, so that the training would never count")
	}
	return r, wrong
}

// textFault says what is wrong with any text.
func textFault(value string) string {
	switch {
	case len(value) > maxField:
		return "is longer than 512 bytes"
	case !utf8.ValidString(value) || strings.ContainsRune(value, utf8.RuneError):
		return "is not UTF-8: export the file as UTF-8"
	case strings.ContainsFunc(value, unicode.IsControl):
		return "has control characters"
	}
	return ""
}

// subjectFault says why a subject would match nobody: subjects are compared byte by byte with those of tokens, of which only such are believed.
func subjectFault(value string) string {
	switch {
	case len(value) > maxSubject:
		return "is longer than 256 bytes"
	case strings.ContainsFunc(value, unseen):
		return "has characters that nobody sees, so that it would match nobody: copy it from a token"
	case !norm.NFC.IsNormalString(value):
		return "has letters and their accents apart (is not Unicode NFC), so that it would match nobody: copy it from a token"
	}
	return ""
}

// unseen are characters that leave no mark: formats such as zero-width joiners, spaces but the plain one, private and unassigned ones, fillers.
func unseen(r rune) bool {
	return r != ' ' && (!unicode.IsPrint(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r))
}

func issuerFault(value string) string {
	const right = "is no issuer: write the URL in the iss claim of tokens, such as https://login.lab.example"
	parsed, err := url.Parse(value)
	switch {
	case err != nil, parsed.Host == "", !strings.HasPrefix(value, "https://"), strings.ContainsAny(value, "?#@"), !visibleASCII(value):
		return right
	}
	return ""
}

func courseFault(value string) string {
	const right = "is no identifier: write letters, digits and . _ : / - between them, such as phishing-basics"
	alphanumeric := func(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' }
	if len(value) > maxCourse {
		return "is longer than 128 bytes"
	}
	for i := range len(value) {
		between := i > 0 && i < len(value)-1 && strings.IndexByte("._:/-", value[i]) >= 0
		if !alphanumeric(value[i]) && !between {
			return right
		}
	}
	return ""
}

func evidenceFault(value string) string {
	const right = "is no link: write one without a user name in it, such as https://lms.lab.example/certificates/4711"
	scheme, rest, _ := strings.Cut(value, "://")
	host, _, _ := strings.Cut(rest, "/")
	parsed, err := url.Parse(value)
	switch {
	case err != nil, parsed.Host == "", scheme != "https" && scheme != "http", host == "", strings.Contains(host, "@"), !visibleASCII(value):
		return right
	}
	return ""
}

// visibleASCII says whether a text has neither spaces nor anything beyond ASCII.
func visibleASCII(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' })
}

// instant reads an RFC 3339 instant or a date, which is its first instant in UTC. Fractions of a second are cut off, as the API keeps none. An empty text
// is no instant.
func instant(value string, lastYear int) (time.Time, string) {
	if value == "" {
		return time.Time{}, ""
	}
	read, err := time.Parse(time.RFC3339, value)
	if err != nil {
		read, err = time.Parse(time.DateOnly, value)
	}
	read = read.UTC().Truncate(time.Second)
	switch {
	case err != nil:
		return time.Time{}, "is no date: write one such as 2026-11-26, or an instant such as 2026-11-26T14:30:00Z"
	case read.Year() < 1900 || read.Year() > lastYear:
		return time.Time{}, "is a year that cannot be meant"
	}
	return read, ""
}
