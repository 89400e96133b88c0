// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// limitFiles are where the kernel says how much memory the container may have: cgroup v2, then v1.
var limitFiles = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

// limitMemory has the garbage collector stay below the limit of the container, beyond which the kernel would end the program with all of its connections.
// One tenth is left for what the collector does not see. A limit that the environment gives (GOMEMLIMIT) stands.
func limitMemory(given int64, environment bool) {
	if given == 0 && environment {
		return
	}
	if given == 0 {
		given = containerLimit(limitFiles) / 10 * 9
	}
	if given > 0 {
		debug.SetMemoryLimit(given)
	}
}

// containerLimit is the first limit that is one; 0: there is none.
func containerLimit(files []string) int64 {
	// cgroup v1 says "no limit" with a number close to the largest one.
	const unlimited = int64(1) << 60
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit > 0 && limit < unlimited {
			return limit
		}
	}
	return 0
}
