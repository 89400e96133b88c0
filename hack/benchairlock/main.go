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
	"slices"
	"strings"
	"syscall"
)

// options are the flags.
type options struct {
	rounds      int
	bytes       int64
	handshakes  int
	exchanges   int
	connections int
	airlock     string
	only        string
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == copyCommand {
		fmt.Fprintln(os.Stderr, copyTCP(os.Args[2], os.Args[3]))
		os.Exit(1)
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "how often each of them takes its turn")
	flag.Int64Var(&o.bytes, "bytes", 1<<30, "how many bytes go through in a round")
	flag.IntVar(&o.handshakes, "handshakes", 5000, "how many connections are opened in a round")
	flag.IntVar(&o.exchanges, "exchanges", 5000, "how many small requests are answered in a round")
	flag.IntVar(&o.connections, "connections", 2000, "how many connections lie idle")
	flag.StringVar(&o.airlock, "airlock", "bin/airlock", "the program to compare")
	flag.StringVar(&o.only, "only", "", "names with commas between them, to look closer at some")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchairlock:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	directory, err := os.MkdirTemp("", "benchairlock-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(directory)) }()
	if err := writeCertificates(directory); err != nil {
		return err
	}
	all, err := contenders(o.airlock, directory)
	if err != nil {
		return err
	}
	if o.only != "" {
		names := strings.Split(o.only, ",")
		all = slices.DeleteFunc(all, func(c contender) bool { return !slices.Contains(names, c.name) })
	}
	results := map[string][]result{}
	for round := range o.rounds {
		for i := range all {
			one := all[(i+round)%len(all)]
			measured, err := measure(ctx, one, o, directory)
			if err != nil {
				return fmt.Errorf("%s: %w", one.name, err)
			}
			results[one.name] = append(results[one.name], measured)
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, o.rounds, one.name)
		}
	}
	return printTable(out, o, all, results)
}
