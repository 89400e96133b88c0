// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"text/template"
	"time"
)

// fill fills the template of the manifest in. sum makes the archive of a name and gives its SHA-256. The functions are those that the release bot of Krew
// has, and give the same text.
func fill(text []byte, tag string, sum func(name string) (string, error)) ([]byte, error) {
	values := struct{ TagName string }{tag}
	functions := template.FuncMap{"addURIAndSha": func(address, _ string) (string, error) {
		parsed, err := template.New("address").Parse(address)
		if err != nil {
			return "", err
		}
		var filled bytes.Buffer
		if err := parsed.Execute(&filled, values); err != nil {
			return "", err
		}
		found, err := sum(path.Base(filled.String()))
		return fmt.Sprintf("uri: %s\n    sha256: %s", filled.String(), found), err
	}}
	parsed, err := template.New(".krew.yaml").Funcs(functions).Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("read the template of the manifest: %w", err)
	}
	var filled bytes.Buffer
	if err := parsed.Execute(&filled, values); err != nil {
		return nil, fmt.Errorf("fill in the manifest: %w", err)
	}
	return filled.Bytes(), nil
}

var platform = regexp.MustCompile(`_([a-z]+)_([a-z0-9]+)\.tar\.gz$`)

// platformOf reads operating system and architecture off the name of an archive.
func platformOf(name string) (system, architecture string, err error) {
	match := platform.FindStringSubmatch(name)
	if match == nil {
		return "", "", fmt.Errorf("the name of archive %s does not end with _OS_ARCHITECTURE.tar.gz", name)
	}
	return match[1], match[2], nil
}

// packed is one file of an archive.
type packed struct {
	name    string
	mode    int64
	content []byte
}

// pack makes a tar of files, compressed. Equal files and times give equal archives.
func pack(files []packed, at time.Time) ([]byte, error) {
	var out bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(compressed)
	for _, file := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: file.name, Mode: file.mode, Size: int64(len(file.content)), ModTime: at, Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("pack %s: %w", file.name, err)
		}
		if _, err := archive.Write(file.content); err != nil {
			return nil, fmt.Errorf("pack %s: %w", file.name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	if err := compressed.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
