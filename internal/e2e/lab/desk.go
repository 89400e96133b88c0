// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// DeskAnswer is what a desk answers.
	DeskAnswer = "the desk\n"
	// Tick is a line of what runs in a pod, for whoever is attached to it.
	Tick      = "tick\n"
	tickEvery = 100 * time.Millisecond
)

// Desk answers HTTP, and gives back every byte to whoever upgrades a connection, to whatever protocol.
func Desk() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocol := r.Header.Get("Upgrade")
		if protocol == "" {
			_, _ = io.WriteString(w, DeskAnswer)
			return
		}
		connection, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer func() { _ = connection.Close() }()
		if _, err := fmt.Fprintf(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol); err == nil {
			_, _ = io.Copy(connection, buffered)
		}
	})
}

// Ticking writes a line every now and then, until the context ends.
func Ticking(ctx context.Context, w io.Writer) {
	for ctx.Err() == nil {
		_, _ = io.WriteString(w, Tick)
		wait(ctx, tickEvery)
	}
}

// Pack writes one file as the program tar would, which kubectl cp runs.
func Pack(w io.Writer, file string) error {
	content, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	const readable = 0o644
	archive := tar.NewWriter(w)
	if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(file, "/"), Mode: readable, Size: int64(len(content))}); err != nil {
		return fmt.Errorf("pack %s: %w", file, err)
	}
	if _, err := archive.Write(content); err != nil {
		return fmt.Errorf("pack %s: %w", file, err)
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("pack %s: %w", file, err)
	}
	return nil
}
