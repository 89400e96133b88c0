// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// standardPath is where Debian has its programs. The PATH of whoever calls may be
// anything.
const standardPath = "/usr/sbin:/usr/bin:/sbin:/bin"

// packages are the names of the packages by the program that is wanted of them.
var packages = map[string]string{"runc": "runc", "nft": "nftables"}

// Programs returns a folder that has runc and nft. It says what it fetches.
func Programs(ctx context.Context, cache string, say func(format string, args ...any)) (string, error) {
	dir := filepath.Join(cache, "debian", release())
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", fmt.Errorf("create the cache: %w", err)
	}
	unlock, err := lock(dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	var missing []string
	for program, pkg := range packages {
		found, err := link(bin, program)
		if err != nil {
			return "", err
		}
		if !found {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return bin, nil
	}
	say("fetching %s from Debian", strings.Join(missing, " and "))
	if err := fetch(ctx, dir, missing); err != nil {
		return "", fmt.Errorf("the node needs %s and could not fetch it: %w. To install it yourself: apt-get update && apt-get install %s",
			strings.Join(missing, " and "), err, strings.Join(missing, " "))
	}
	for program, pkg := range packages {
		if _, err := os.Stat(filepath.Join(bin, program)); err == nil {
			continue
		}
		if err := wrap(dir, program); err != nil {
			return "", fmt.Errorf("unpack %s: %w", pkg, err)
		}
	}
	return bin, nil
}

// link makes bin/program if the program is installed, and reports whether bin has
// it. A link to a program that is not installed any more is removed.
func link(bin, program string) (found bool, err error) {
	name := filepath.Join(bin, program)
	if _, err := os.Stat(name); err == nil {
		return true, nil
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("clean the cache: %w", err)
	}
	for _, dir := range filepath.SplitList(standardPath) {
		installed := filepath.Join(dir, program)
		if _, err := os.Stat(installed); err == nil {
			if err := os.Symlink(installed, name); err != nil {
				return false, fmt.Errorf("link %s: %w", program, err)
			}
			return true, nil
		}
	}
	return false, nil
}

// fetch downloads packages, with those that they need and that are not installed,
// and unpacks them into the folder root of dir.
func fetch(ctx context.Context, dir string, packages []string) error {
	archives := filepath.Join(dir, "archives")
	// apt wants this folder of it.
	if err := os.MkdirAll(filepath.Join(archives, "partial"), 0o755); err != nil {
		return err
	}
	if err := run(ctx, "/usr/bin/apt-get", "update"); err != nil {
		return err
	}
	install := []string{"install", "--yes", "--download-only", "--no-install-recommends", "-o", "Dir::Cache::archives=" + archives}
	if err := run(ctx, "/usr/bin/apt-get", append(install, packages...)...); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(archives, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := run(ctx, "/usr/bin/dpkg-deb", "--extract", file, filepath.Join(dir, "root")); err != nil {
			return err
		}
	}
	return os.RemoveAll(archives)
}

// wrap makes dir/bin/program, which runs the unpacked program with the libraries
// that were unpacked with it. Each is complete when its name appears.
func wrap(dir, program string) error {
	root := filepath.Join(dir, "root")
	matches, err := filepath.Glob(filepath.Join(root, "usr", "*bin", program))
	if err != nil {
		return err
	}
	if len(matches) == 0 {
		return fmt.Errorf("it has no %s", program)
	}
	libraries, err := filepath.Glob(filepath.Join(root, "usr", "lib", "*-linux-gnu*"))
	if err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\nLD_LIBRARY_PATH='%s' exec '%s' \"$@\"\n", strings.Join(libraries, ":"), matches[0])
	name := filepath.Join(dir, "bin", program)
	if err := os.WriteFile(name+".new", []byte(script), 0o755); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func run(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"PATH=" + standardPath, "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"}
	if out, err := cmd.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		const last = 5
		return fmt.Errorf("%s %s: %w: %s", program, args[0], err, strings.Join(lines[max(0, len(lines)-last):], "; "))
	}
	return nil
}

// release names the system: programs of one do not run on another.
func release() string {
	content, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "unknown"
	}
	var id, version string
	for line := range strings.Lines(string(content)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "ID":
			id = strings.Trim(value, `"`)
		case "VERSION_ID":
			version = strings.Trim(value, `"`)
		}
	}
	return filepath.Base(filepath.Clean("/" + id + "-" + version))
}

// lock makes this process the only one that changes dir.
func lock(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	return func() { _ = f.Close() }, nil
}
