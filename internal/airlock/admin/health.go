// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"io"
	"net/http"
	"time"
)

const (
	// A request is small and its answer too: whoever takes longer holds a connection for nothing.
	headerTimeout = 5 * time.Second
	answerTimeout = 10 * time.Second
	idleTimeout   = 30 * time.Second
	maxHeader     = 8 << 10
)

// Health answers /healthz once everything was tried that is done at the start, and /readyz while a configuration is in use. Each is a word and no data.
func Health(started, configured func() bool) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", word(started, "starting"))
	mux.HandleFunc("GET /readyz", word(configured, "no configuration"))
	return server(mux)
}

func word(good func() bool, otherwise string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		said := "ok"
		if !good() {
			said = otherwise
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		// Nobody is there to be told that the answer was not taken.
		_, _ = io.WriteString(w, said+"\n")
	}
}

func server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
	}
}
