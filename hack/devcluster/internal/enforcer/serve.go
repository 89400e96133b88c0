// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package enforcer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/labguard/labguard/hack/devcluster/internal/policy"
)

const (
	// maxBody is more than any request here has.
	maxBody = 4096
	// applyTimeout bounds a request that waits for the rules, which take milliseconds.
	applyTimeout = 20 * time.Second
)

// An announcement is what the network plugin says about a new pod.
type announcement struct {
	UID     string `json:"uid"`
	Address string `json:"address"`
}

// handler serves
//
//	GET /healthz   when the caches are filled
//	GET /switches  the switches
//	PUT /switches  change those that the body has; answered once the rules follow
//	POST /pods     announce a pod; answered once the rules know it
func (e *enforcer) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux.HandleFunc("GET /switches", func(w http.ResponseWriter, _ *http.Request) {
		e.mutex.Lock()
		s := e.switches
		e.mutex.Unlock()
		answer(w, s, nil)
	})
	mux.HandleFunc("PUT /switches", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), applyTimeout)
		defer cancel()
		s, err := e.setSwitches(ctx, func(s *policy.Switches) error { return decode(r, s) })
		answer(w, s, err)
	})
	mux.HandleFunc("POST /pods", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), applyTimeout)
		defer cancel()
		var a announcement
		err := decode(r, &a)
		if err == nil {
			err = e.announce(ctx, a.UID, a.Address)
		}
		answer(w, struct{}{}, err)
	})
	return mux
}

// errBadRequest is a request that cannot be read.
var errBadRequest = errors.New("read the request")

func decode(r *http.Request, into any) error {
	decoder := json.NewDecoder(io.LimitReader(r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return errors.Join(errBadRequest, err)
	}
	return nil
}

func answer(w http.ResponseWriter, value any, err error) {
	switch {
	case errors.Is(err, errBadRequest):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value) //nolint:errchkjson // values of this package, to a client that may be gone
	}
}

func serve(ctx context.Context, address string, e *enforcer) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serve switches: %w", err)
	}
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: e.handler()}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve switches: %w", err)
	}
	return nil
}
