// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os/exec"
	"runtime"
	"sync"
)

// Linux ties a child's parent-death signal to the thread that started it, not
// to the process: a child would die when the Go runtime retires that thread.
// All children are therefore started on one thread that is never retired.
var (
	threadOnce sync.Once
	threadWork = make(chan func())
)

func startOnLastingThread(cmd *exec.Cmd) error {
	threadOnce.Do(func() {
		go func() {
			runtime.LockOSThread()
			for work := range threadWork {
				work()
			}
		}()
	})
	result := make(chan error)
	threadWork <- func() { result <- cmd.Start() }
	return <-result
}
