// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/labguard/labguard/internal/plugin/check"
)

// Bounds of a tree of manifests.
const (
	maxTreeDepth = 64
	maxTreeFiles = 20000
	maxTreeBytes = 512 << 20
)

// manifests reads files, directories with what is below them, and standard input.
type manifests struct {
	stdin io.Reader
	read  check.Parsed

	files int
	bytes int64
}

var errTooMuch = fmt.Errorf("these are more than %d files, %d objects or %d MiB: name the directory of the manifests alone", maxTreeFiles, check.MaxDocuments, maxTreeBytes>>20)

// errNothingWritten is what an empty pipe is: a check that passes because the command before it failed would be worse than none.
var errNothingWritten = errors.New("standard input has no object: did what writes it fail?")

// tooMuch says whether no further file is read.
func (m *manifests) tooMuch() bool {
	return m.files > maxTreeFiles || m.bytes+m.read.Aliased > maxTreeBytes || m.read.Said() > check.MaxDocuments
}

// take reads what a person has named. It has to be there.
func (m *manifests) take(name string) error {
	if name == "-" {
		if m.tooMuch() {
			return errTooMuch
		}
		content, err := io.ReadAll(io.LimitReader(m.stdin, check.MaxFile+1))
		if err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
		m.bytes += int64(len(content))
		read := check.Parse(name, content)
		if len(read.Objects)+len(read.Broken) == 0 {
			return errNothingWritten
		}
		m.read.Add(read)
		return nil
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return fmt.Errorf("-f %s: %w", name, lookedFor(err))
	case !info.IsDir():
		return m.file(name, info.Size(), m.inChart(filepath.Dir(name)))
	}
	said := func() int { return m.files + len(m.read.Broken) + len(m.read.Skipped) }
	before := said()
	if err := m.directory(name, 0); err != nil {
		return err
	}
	if said() == before {
		return fmt.Errorf("-f %s: it has no file whose name ends with .yaml, .yml or .json", name)
	}
	return nil
}

// lookedFor is an error without the name that the caller has said already.
func lookedFor(err error) error {
	if path, found := errors.AsType[*fs.PathError](err); found {
		return path.Err
	}
	return err
}

// directory reads a directory and those below it. Links to files are followed, as mounted ConfigMaps have them; links to directories are not, so that
// none leads in a circle.
func (m *manifests) directory(name string, depth int) error {
	if depth > maxTreeDepth {
		m.broken(name, "its directories lie too deep")
		return nil
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		m.broken(name, lookedFor(err).Error())
		return nil
	}
	inChart := m.inChart(name)
	for _, entry := range entries {
		path := filepath.Join(name, entry.Name())
		if entry.IsDir() {
			if err := m.directory(path, depth+1); err != nil {
				return err
			}
			continue
		}
		if !check.Listed(entry.Name()) && entry.Type()&fs.ModeSymlink == 0 {
			continue
		}
		if err := m.entry(path, inChart); err != nil {
			return err
		}
	}
	return nil
}

// entry reads a file of a directory, or says what else it is.
func (m *manifests) entry(path string, inChart bool) error {
	listed := check.Listed(path)
	info, err := os.Stat(path)
	switch {
	case err != nil && !listed:
	case err != nil:
		m.broken(path, lookedFor(err).Error())
	case info.IsDir():
		m.skip(path, "it is a link to a directory, which is not followed: name it with -f")
	case !listed:
	case !info.Mode().IsRegular():
		m.skip(path, "it is neither a file nor a directory: name it with -f")
	default:
		return m.file(path, info.Size(), inChart)
	}
	return nil
}

// inChart says whether a directory belongs to a Helm chart: Chart.yaml is in it, or beside the directory templates that it is or lies in.
func (m *manifests) inChart(directory string) bool {
	for above := directory; filepath.Dir(above) != above; above = filepath.Dir(above) {
		if filepath.Base(above) == "templates" {
			directory = filepath.Dir(above)
			break
		}
	}
	_, err := os.Stat(filepath.Join(directory, "Chart.yaml"))
	return err == nil
}

func (m *manifests) file(name string, size int64, inChart bool) error {
	m.files++
	m.bytes += min(size, check.MaxFile)
	if m.tooMuch() {
		return errTooMuch
	}
	opened, err := os.Open(name) //nolint:gosec // G304: the person who runs it has named it
	if err != nil {
		m.broken(name, lookedFor(err).Error())
		return nil
	}
	defer func() { _ = opened.Close() }()
	content, err := io.ReadAll(io.LimitReader(opened, check.MaxFile+1))
	if err != nil {
		m.broken(name, lookedFor(err).Error())
		return nil
	}
	m.read.Add(check.ParseFile(name, content, inChart))
	return nil
}

func (m *manifests) skip(name, why string) {
	m.read.Skipped = append(m.read.Skipped, check.Remark{Place: check.Place{File: name}, Text: why})
}

func (m *manifests) broken(name, why string) {
	m.read.Broken = append(m.read.Broken, check.Remark{Place: check.Place{File: name}, Text: why})
}
