// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"strings"
)

const (
	scheme = "spiffe://"
	// maxID is the longest SPIFFE ID in bytes (SPIFFE-ID, section 2.3).
	maxID = 2048
	// maxDomain is the longest trust domain in bytes (SPIFFE-ID, section 2.1).
	maxDomain = 255
	wildcard  = "*"
)

// ID is a SPIFFE ID in its two parts.
type ID struct {
	// Domain is the trust domain; Path begins with "/".
	Domain string
	Path   string
}

// String is the ID as it stands in a certificate.
func (i ID) String() string { return scheme + i.Domain + i.Path }

// Under says whether the first segment of the path is segment, and another one follows.
func (i ID) Under(segment string) bool { return strings.HasPrefix(i.Path, "/"+segment+"/") }

// ParseID reads a SPIFFE ID that names a workload: it has a path, and no segment of it is empty, "." or "..".
func ParseID(text string) (ID, error) { return parseID(text, false) }

func parseID(text string, wildcards bool) (ID, error) {
	if len(text) > maxID {
		return ID{}, errors.New("is too long for a SPIFFE ID")
	}
	rest, found := strings.CutPrefix(text, scheme)
	if !found {
		return ID{}, errors.New(`is no SPIFFE ID: it does not begin with "spiffe://"`)
	}
	domain, path, found := strings.Cut(rest, "/")
	if !ValidDomain(domain) {
		return ID{}, errors.New("has a trust domain with other characters than a-z, 0-9, '.', '-' and '_'")
	}
	if !found {
		return ID{}, errors.New("names a trust domain and no workload")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if wildcards && segment == wildcard {
			continue
		}
		if !validSegment(segment) {
			return ID{}, errors.New("has a path segment that is empty, '.', '..' or has other characters than letters, digits, '.', '-' and '_'")
		}
	}
	return ID{Domain: domain, Path: "/" + path}, nil
}

// ValidDomain says whether a text can be a trust domain.
func ValidDomain(domain string) bool {
	if domain == "" || len(domain) > maxDomain {
		return false
	}
	for _, c := range []byte(domain) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return domain != "." && domain != ".."
}

func validSegment(segment string) bool {
	if segment == "" || segment == "." || segment == ".." {
		return false
	}
	for _, c := range []byte(segment) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// ParsePattern reads a SPIFFE ID in which "*" stands for exactly one whole segment of the path. At least one segment is spelled out.
func ParsePattern(text string) (ID, error) {
	pattern, err := parseID(text, true)
	if err != nil {
		return ID{}, err
	}
	for segment := range strings.SplitSeq(pattern.Path[1:], "/") {
		if segment != wildcard {
			return pattern, nil
		}
	}
	return ID{}, errors.New("has no path segment that is spelled out")
}

// Matches says whether id is one of those that the pattern p stands for. It is never, if either is no ID of a workload.
func (i ID) Matches(id ID) bool {
	if i.Domain == "" || i.Domain != id.Domain {
		return false
	}
	pattern, path := strings.Split(i.Path, "/"), strings.Split(id.Path, "/")
	if len(pattern) != len(path) {
		return false
	}
	for n := range pattern {
		if pattern[n] != path[n] && (pattern[n] != wildcard || path[n] == "") {
			return false
		}
	}
	return true
}
