// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package redirect_test

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// dropCapabilities takes all privilege from the thread, which runs nothing else from then on.
func dropCapabilities() error {
	runtime.LockOSThread()
	var none [2]unix.CapUserData
	return unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0])
}
