// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import "syscall"

// dieWithParent has the kernel kill the child when its parent ends. The
// lifeline does the same, but only once the child runs its own code.
func dieWithParent(attr *syscall.SysProcAttr) {
	attr.Pdeathsig = syscall.SIGKILL
}

// OutliveParent is for a child that has to do something when its parent ended: it
// notices that by its lifeline.
func OutliveParent(attr *syscall.SysProcAttr) {
	attr.Pdeathsig = 0
	// A session of its own keeps it from what is sent to that of its parent.
	attr.Setpgid, attr.Setsid = false, true
}
