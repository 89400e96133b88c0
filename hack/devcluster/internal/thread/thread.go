// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package thread

import "runtime"

// A Thread does work one piece after the other, all on the same thread.
type Thread struct {
	work chan func()
}

// New returns a thread that the Go runtime never retires.
func New() *Thread {
	t := &Thread{work: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for work := range t.work {
			work()
		}
	}()
	return t
}

// Do runs f on the thread and returns its error.
func (t *Thread) Do(f func() error) error {
	result := make(chan error)
	t.work <- func() { result <- f() }
	return <-result
}
