// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// serveRegistry serves an OCI registry on port until ctx ends. Blobs are on
// disk; manifests are in memory, so images are gone after a restart.
func serveRegistry(ctx context.Context, l layout, port int) error {
	logFile, err := os.Create(l.log("registry"))
	if err != nil {
		return fmt.Errorf("start registry: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address(port))
	if err != nil {
		_ = logFile.Close()
		return fmt.Errorf("start registry: %w", err)
	}
	logger := log.New(logFile, "", log.LstdFlags)
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          logger,
		Handler: registry.New(
			registry.Logger(logger),
			registry.WithBlobHandler(registry.NewDiskBlobHandler(l.blobs())),
			registry.WithReferrersSupport(true)),
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Printf("registry ended: %v", err)
		}
		_ = logFile.Close()
	}()
	return nil
}
