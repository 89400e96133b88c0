// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import "syscall"

// dieWithParent has the kernel kill the child when its parent ends. The
// lifeline does the same, but only once the child runs its own code.
func dieWithParent(attr *syscall.SysProcAttr) {
	attr.Pdeathsig = syscall.SIGKILL
}
