// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"

	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/airlock/config"
	rules "github.com/labguard/labguard/internal/airlock/redirect"
	"github.com/labguard/labguard/internal/airlock/sidecar"
	"github.com/labguard/labguard/internal/airlock/witness"
)

// run is the sidecar.
func run(ctx context.Context, arguments []string) error {
	options := sidecar.Defaults()
	flags := flag.NewFlagSet("airlock run", flag.ContinueOnError)
	flags.StringVar(&options.Directory, "directory", options.Directory, "where the configuration, the identity and the bundles are mounted")
	flags.IntVar(&options.HealthPort, "health-port", options.HealthPort, "port for the kubelet, in plain HTTP; 0: none")
	flags.IntVar(&options.AdminPort, "admin-port", options.AdminPort, "port for labguard, over mutual TLS; 0: none")
	flags.IntVar(&options.RedirectPort, "redirect-port", options.RedirectPort, "port on loopback for redirected connections; 0: none")
	flags.DurationVar(&options.Poll, "poll", options.Poll, "how often the mounted files are looked at")
	flags.DurationVar(&options.Grace, "grace-period", options.Grace, "how long connections get to finish after SIGTERM")
	memory := flags.Int64("memory-limit", 0, "soft limit of the memory in bytes; 0: nine tenths of the limit of the container")
	if err := flags.Parse(arguments); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return errUsage
	}
	sidecar.LimitMemory(*memory)
	options.Log = slog.New(slog.NewJSONHandler(os.Stderr, nil))
	options.Build = build()
	options.Destination = rules.OriginalDestination
	options.Witness = watcher(options.Clock, options.Log)
	return sidecar.New(options).Run(ctx)
}

// watcher sees the sockets of the pod. Where the kernel does not tell of sockets that end, it sees less and says so.
func watcher(c clock.WithTicker, log *slog.Logger) *witness.Watcher {
	events, err := witness.Subscribe()
	if err != nil {
		log.Warn("short connections to the application may stay without a name", "error", err)
	}
	return witness.New(witness.Options{
		Net: os.DirFS("/proc/net"), Clock: c, UserID: os.Getuid(), Events: events,
		NodeAddresses: witness.ParseNodeAddresses(os.Getenv(config.HostIPsVariable)),
	})
}

// build is the version of the program: the revision that the Go command has stamped.
func build() string {
	information, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	revision := information.Main.Version
	for _, setting := range information.Settings {
		if setting.Key == "vcs.revision" {
			revision = setting.Value
		}
	}
	return revision + " " + information.GoVersion
}
