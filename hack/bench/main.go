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
	"time"
)

// settings bound the run.
type settings struct {
	// rounds is how often all namespaces have their turn; one and many are the requests of a turn, one after the other and 16 at a time.
	rounds, one, many int
	// limit is when the run ends at the latest.
	limit time.Duration
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == noopWord {
		if err := serveNoop(os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "bench: no-op webhook: %v\n", err)
			os.Exit(1)
		}
		return
	}
	var chosen settings
	flag.IntVar(&chosen.rounds, "rounds", 40, "how often each namespace has its turn")
	flag.IntVar(&chosen.one, "one", 40, "requests of a turn at concurrency 1")
	flag.IntVar(&chosen.many, "many", 160, "requests of a turn at concurrency 16")
	flag.DurationVar(&chosen.limit, "limit", 10*time.Minute, "when to end at the latest, compiling and starting included")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx, &chosen, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// bench is the whole run.
func bench(ctx context.Context, chosen *settings, table, progress io.Writer) (err error) {
	if chosen.rounds < 1 || chosen.one < 1 || chosen.many < 1 {
		return errors.New("-rounds, -one and -many are 1 or more")
	}
	ctx, cancel := context.WithTimeout(ctx, chosen.limit)
	defer cancel()
	s := &stage{progress: progress}
	defer func() { err = errors.Join(err, s.tearDown()) }()
	for _, step := range []func(context.Context) error{
		s.build, s.startCluster, s.installLabguard, s.push, s.startNoop, s.startManager, s.govern,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	measured, err := s.measure(ctx, chosen)
	if err != nil {
		return err
	}
	return measured.print(table)
}
