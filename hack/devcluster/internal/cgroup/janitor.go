// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Janitor waits until the process that started it is gone and removes the cgroup
// that args name. It outlives a kill of everything else; SIGTERM says that nothing
// is left to do.
func Janitor(args []string, hold func(lost func())) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	signal.Ignore(os.Interrupt, syscall.SIGHUP)
	lost := make(chan struct{})
	hold(func() { close(lost) })
	select {
	case <-ctx.Done():
		return 0
	case <-lost:
	}
	if err := Remove(context.Background(), args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "janitor: %v\n", err)
		return 1
	}
	return 0
}
