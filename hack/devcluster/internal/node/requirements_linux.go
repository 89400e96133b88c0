// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// programs are what hack/build compiles for a node.
var programs = []string{
	"containerd", "containerd-shim-runc-v2", "host-local", "loopback", "ptp", "portmap", "policyplugin", "dns", "pause",
}

// Check says what a node would miss here.
func Check(programsDir string) error {
	if os.Geteuid() != 0 {
		return errors.New("a node needs root: it mounts file systems and makes namespaces; run devcluster with sudo, or without --node")
	}
	for _, p := range programs {
		if _, err := os.Stat(filepath.Join(programsDir, p)); err != nil {
			return fmt.Errorf("a node needs %s (%w): run `make node`, or name the folder of bin/node with --node-programs", p, err)
		}
	}
	for _, p := range []string{"mount", "umount"} {
		if !installed(p) {
			return fmt.Errorf("a node needs %s, which is not in /usr/bin or /bin: apt-get install mount", p)
		}
	}
	if _, err := os.Stat("/sys/fs/cgroup"); err != nil {
		return fmt.Errorf("a node needs cgroups: %w", err)
	}
	return nil
}

func installed(program string) bool {
	for _, dir := range []string{"/usr/bin", "/bin", "/usr/sbin", "/sbin"} {
		if _, err := os.Stat(filepath.Join(dir, program)); err == nil {
			return true
		}
	}
	return false
}

// Snapshotter is what containerd can use in dir: overlays cannot be stacked on
// the root file system of a container, which is one.
func Snapshotter(dir string) string {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err == nil && stat.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "native"
	}
	return "overlayfs"
}
