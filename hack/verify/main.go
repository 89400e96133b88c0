// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage: go run ./hack/verify COMMAND

commands:
  help       list the targets of the Makefile
  tree       fail if the checkout differs from its last commit, and show how
  coverage   fail if tests execute too little of a package
             -profile FILE  what go test -coverprofile wrote
             -min PERCENT   least share of statements, per package tree
             PACKAGE...     folders below the module, such as internal/posture
  fuzz       run each fuzz test of some packages
             -time DURATION how long, each
             PACKAGE...     as for go test
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "verify: %v\n", err)
		os.Exit(1)
	}
}

// run carries out one command and writes what a person should read to out.
func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return flag.ErrHelp
	}
	switch args[0] {
	case "help":
		return help("Makefile", out)
	case "tree":
		return tree(ctx, ".", out)
	case "coverage":
		return coverage(args[1:], out)
	case "fuzz":
		return fuzz(ctx, args[1:], out)
	default:
		return fmt.Errorf("unknown command %q\n%s", args[0], usage)
	}
}
