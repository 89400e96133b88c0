// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// programs by name. Each ends when the context does.
var programs = map[string]func(ctx context.Context, args []string, out io.Writer) error{
	"mllp-server":   mllpServer,
	"mllp-client":   mllpClient,
	"engine":        engine,
	"http-server":   httpServer,
	"http-client":   httpClient,
	"banner-server": bannerServer,
	"dial":          dial,
	"sniff":         sniff,
	"sleep":         sleep,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 {
		if program, found := programs[args[0]]; found {
			return program(ctx, args[1:], out)
		}
	}
	return fmt.Errorf("the first argument is one of %s", strings.Join(slices.Sorted(maps.Keys(programs)), ", "))
}
