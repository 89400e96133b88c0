// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Volume is a mounted directory.
type Volume struct {
	t         testing.TB
	Directory string
	written   int
	previous  string
}

// NewVolume makes an empty one.
func NewVolume(t testing.TB) *Volume {
	t.Helper()
	return &Volume{t: t, Directory: t.TempDir()}
}

// Write swaps the contents of the volume, and then removes the old ones, as the AtomicWriter of the kubelet does.
func (v *Volume) Write(files map[string][]byte) {
	v.t.Helper()
	v.written++
	name := "..version_" + strconv.Itoa(v.written)
	for path, text := range files {
		path = filepath.Join(v.Directory, name, path)
		v.must(os.MkdirAll(filepath.Dir(path), 0o750))
		v.must(os.WriteFile(path, text, 0o600))
	}
	link := filepath.Join(v.Directory, "..data_tmp")
	v.must(os.Symlink(name, link))
	v.must(os.Rename(link, filepath.Join(v.Directory, "..data")))
	if v.previous != "" {
		v.must(os.RemoveAll(filepath.Join(v.Directory, v.previous)))
	}
	v.previous = name
}

func (v *Volume) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}
