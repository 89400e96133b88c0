// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestUnpackedProgramRunsWithItsLibraries(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "root", "usr", "sbin", "nft"), "#!/bin/sh\necho \"$LD_LIBRARY_PATH $1\"\n")
	write(t, filepath.Join(dir, "root", "usr", "lib", "x86_64-linux-gnu", "libnftables.so.1"), "")
	write(t, filepath.Join(dir, "bin", ".keep"), "")
	if err := wrap(dir, "nft"); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "bin", "nft"), "a b").CombinedOutput()
	want := filepath.Join(dir, "root", "usr", "lib", "x86_64-linux-gnu") + " a b\n"
	if err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
	if err := wrap(dir, "runc"); err == nil || !strings.Contains(err.Error(), "runc") {
		t.Errorf("a package without its program should be an error that names it: %v", err)
	}
}

func TestInstalledProgramIsUsedAndALostOneIsNot(t *testing.T) {
	bin := t.TempDir()
	// Every system has this one.
	if found, err := link(bin, "sh"); !found || err != nil {
		t.Errorf("got %t, %v", found, err)
	}
	if err := os.Symlink("/absent", filepath.Join(bin, "no-such-program")); err != nil {
		t.Fatal(err)
	}
	if found, err := link(bin, "no-such-program"); found || err != nil {
		t.Errorf("got %t, %v", found, err)
	}
	if _, err := os.Lstat(filepath.Join(bin, "no-such-program")); err == nil {
		t.Error("the link to what is not there is kept")
	}
}

func TestFailedCommandIsShownWithWhatItSaid(t *testing.T) {
	err := run(t.Context(), "/bin/sh", "-c", "echo cannot resolve the mirror; exit 3")
	if err == nil || !strings.Contains(err.Error(), "cannot resolve the mirror") {
		t.Errorf("got %v", err)
	}
}
