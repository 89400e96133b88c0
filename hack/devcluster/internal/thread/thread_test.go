// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package thread

import (
	"errors"
	"sync"
	"testing"
)

func TestAllWorkIsDoneInTurnAndItsErrorsReturned(t *testing.T) {
	thread, failure := New(), errors.New("failure")
	count := 0
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			// The race detector finds work that is done at the same time.
			if err := thread.Do(func() error { count++; return failure }); !errors.Is(err, failure) {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
	if count != 50 {
		t.Errorf("did %d pieces of work", count)
	}
}
