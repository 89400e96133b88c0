// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := demo(ctx)
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

// demo is the whole show.
func demo(ctx context.Context) (err error) {
	s := &stage{}
	s.tour = newTour(s)
	defer func() { err = errors.Join(err, s.tearDown(context.WithoutCancel(ctx))) }()
	for _, step := range []func(context.Context) error{s.prepare, s.startCluster, s.installLabguard, s.startOperator, s.tour.Walk} {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		}
	}
	if os.Getenv("DEMO_EXIT") != "" {
		return nil
	}
	fmt.Printf("\nThe cluster and the operator stay up. In another terminal:\n\n  export KUBECONFIG=%s\n  %s get lw -A\n\nThe operator's log: %s\nCtrl-C ends everything.\n",
		s.kubeconfig, s.kubectlName(), s.path("labguard.log"))
	select {
	case <-ctx.Done():
		return nil
	case <-s.operatorEnded:
		return fmt.Errorf("the operator has ended; its log is %s", s.path("labguard.log"))
	}
}
