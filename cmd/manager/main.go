// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command manager is labguard's operator: its controllers and its rollout webhooks, in the cluster or, with --kubeconfig and --webhook-url,
// outside of it.
package main

import (
	"flag"
	"fmt"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

func main() {
	options := defaultOptions()
	options.bind(flag.CommandLine)
	logging := zap.Options{}
	logging.BindFlags(flag.CommandLine)
	flag.Parse()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&logging)))
	if err := advised(run(ctrl.SetupSignalHandler(), options)); err != nil {
		fmt.Fprintf(os.Stderr, "manager: %v\n", err)
		os.Exit(1)
	}
}
