// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kubectl-labguard is the plugin behind `kubectl labguard`: it says how LabWorkloads stand, what is held and why, what time alone will change, what
// enforcing would cut, and whether something would roll out or a connection is encrypted; it imports training records, looks after uses of break glass, lists who could go around the gate
// for people, and prints what the API server has to be told about an identity provider. It has the rights of whoever runs it, and writes nothing that kubectl could not.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubeconfigs name these ways to log in
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "error: %s\n", visibleLines(err.Error()))
		os.Exit(exitCode(err))
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// What client-go has to say is in its errors, and they are told.
	klog.SetLogger(logr.Discard())
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	return newRoot(streams, clock.RealClock{}).ExecuteContext(ctx)
}
