// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"syscall"
)

// detach puts a process into a group of its own: Ctrl-C in the terminal reaches the demo alone, which then ends the others in order.
func detach(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
