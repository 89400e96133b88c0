// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// unified is the file system of version 2, which has all controllers that no
// hierarchy of version 1 has.
const unified = "cgroup2"

// A hierarchy is a mounted cgroup file system.
type hierarchy struct {
	// point is where it is mounted, kind its file system.
	point, kind string
	// options say which of version 1 it is: its controllers, or its name.
	options string
}

func mounted() ([]hierarchy, error) {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return hierarchies(string(content)), nil
}

// hierarchies reads what proc(5) calls mountinfo. Of two mounts at one place the
// later one is seen.
func hierarchies(mountinfo string) []hierarchy {
	var all []hierarchy
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		mount, super := strings.Fields(before), strings.Fields(after)
		const (
			mountPoint   = 4
			superOptions = 2
		)
		if !ok || len(mount) <= mountPoint || len(super) <= superOptions || super[0] != "cgroup" && super[0] != unified {
			continue
		}
		h := hierarchy{point: mount[mountPoint], kind: super[0]}
		if h.kind != unified {
			h.options = controllers(super[superOptions])
		}
		all = slices.DeleteFunc(all, func(earlier hierarchy) bool { return earlier.point == h.point })
		all = append(all, h)
	}
	return all
}

// controllers are the options that say which hierarchy it is.
func controllers(options string) string {
	kept := slices.DeleteFunc(strings.Split(options, ","), func(o string) bool {
		return o == "rw" || o == "ro" || strings.HasPrefix(o, "release_agent=") || o == "xattr" || o == "clone_children"
	})
	return strings.Join(kept, ",")
}
