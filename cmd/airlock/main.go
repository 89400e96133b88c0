// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command airlock is the sidecar that speaks mutual TLS for an application that does not. See docs/airlock.md.
//
//	airlock run        is the sidecar, until SIGTERM
//	airlock redirect   writes the rules that send connections of the application to airlock, and ends
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// errUsage means that the command line is wrong.
var errUsage = errors.New("usage: airlock redirect ENTRY... | airlock run [flags]")

// commands are what airlock can do.
func commands() map[string]func(ctx context.Context, arguments []string) error {
	return map[string]func(context.Context, []string) error{
		"run":      run,
		"redirect": func(_ context.Context, arguments []string) error { return redirect(arguments) },
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := errUsage
	if len(os.Args) > 1 {
		if command, found := commands()[os.Args[1]]; found {
			err = command(ctx, os.Args[2:])
		}
	}
	stop()
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "airlock: %v\n", err)
		os.Exit(exitUsage)
	case err != nil:
		fmt.Fprintf(os.Stderr, "airlock: %v\n", err)
		os.Exit(exitFailed)
	}
}
