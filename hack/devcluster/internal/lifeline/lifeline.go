// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lifeline

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
)

// variable tells a child which file descriptor is its lifeline.
const variable = "LABGUARD_DEVCLUSTER_LIFELINE"

// A Line ends every child tied to it when its process ends.
type Line struct {
	reader *os.File
	// writer is never written to or closed; it is here to stay referenced, as a
	// finalizer would close it.
	writer *os.File
}

// New returns a line for the children of this process.
func New() (*Line, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("create the lifeline: %w", err)
	}
	return &Line{reader: r, writer: w}, nil
}

// Tie makes cmd, which has not started yet, a child of this line.
func (l *Line) Tie(cmd *exec.Cmd) {
	const standardFiles = 3
	cmd.ExtraFiles = append(cmd.ExtraFiles, l.reader)
	fd := standardFiles + len(cmd.ExtraFiles) - 1
	cmd.Env = append(cmd.Environ(), variable+"="+strconv.Itoa(fd))
}

// Hold calls lost once the parent of this process ends. It does nothing in a
// process that was not tied to a parent.
func Hold(lost func()) {
	fd, err := strconv.Atoi(os.Getenv(variable))
	if err != nil {
		return
	}
	_ = os.Unsetenv(variable)
	pipe := os.NewFile(uintptr(fd), "lifeline")
	if pipe == nil {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, pipe)
		lost()
	}()
}
