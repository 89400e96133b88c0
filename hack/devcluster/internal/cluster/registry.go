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
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// serveRegistry serves an OCI registry on listeners until ctx ends. Blobs are on
// disk; manifests are in memory, so images are gone after a restart.
func serveRegistry(ctx context.Context, l layout, listeners ...net.Listener) error {
	logFile, err := os.Create(l.log("registry"))
	if err != nil {
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
	var all sync.WaitGroup
	for _, listener := range listeners {
		all.Go(func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				logger.Printf("registry ended: %v", err)
			}
		})
	}
	go func() {
		all.Wait()
		_ = logFile.Close()
	}()
	return nil
}
