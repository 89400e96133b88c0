// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// WebHandler is the second protocol: POST /results/<id> is processed as a message is, and answered with the ID.
func (r *Receiver) WebHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /results/{id}", func(w http.ResponseWriter, request *http.Request) {
		if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, request.Body, MaxMessage)); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := r.process(request.PathValue("id")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, request.PathValue("id")) //nolint:gosec // Plain text.
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	return mux
}

// ServeWeb serves HTTP until the context ends, and finishes the requests at hand.
func ServeWeb(ctx context.Context, at net.Listener, handler http.Handler) error {
	s := &http.Server{Handler: handler, ReadHeaderTimeout: AnswerTimeout}
	finished := make(chan error, 1)
	context.AfterFunc(ctx, func() { finished <- s.Shutdown(context.WithoutCancel(ctx)) })
	if err := s.Serve(at); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-finished
}

// WebSender posts to an address, over a connection that stays open.
func WebSender(address string) Sender {
	return &webSender{address: address, client: http.Client{Timeout: AnswerTimeout, Transport: &http.Transport{MaxIdleConns: 1, IdleConnTimeout: time.Minute}}}
}

type webSender struct {
	address string
	client  http.Client
}

// Send posts a result with an ID.
func (s *webSender) Send(ctx context.Context, id string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.address+"/results/"+id, strings.NewReader(Marker+id))
	if err != nil {
		return err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1024))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || string(answer) != id {
		return fmt.Errorf("answer %d %q", response.StatusCode, answer)
	}
	return nil
}

// Close closes the connection.
func (s *webSender) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// Banner is what a server that speaks first says.
const Banner = "220 laboratory ready\r\n"

// ServeBanner speaks first, as SMTP, FTP and MySQL do, and then repeats each line, until the context ends.
func ServeBanner(ctx context.Context, at net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = at.Close() })
	defer stop()
	for {
		accepted, err := at.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		go func() {
			defer func() { _ = accepted.Close() }()
			if _, err := io.WriteString(accepted, Banner); err == nil {
				_, _ = io.Copy(accepted, accepted)
			}
		}()
	}
}

// BannerSender waits for the banner of a new connection, and for its line to come back.
func BannerSender(ctx context.Context, address, line string) error {
	connection, err := (&net.Dialer{Timeout: AnswerTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = connection.SetDeadline(past) })
	defer stop()
	reader := bufio.NewReaderSize(connection, 1024)
	for i, want := range []string{Banner, line + "\r\n"} {
		if i > 0 {
			if _, err := io.WriteString(connection, want); err != nil {
				return err
			}
		}
		got, err := reader.ReadSlice('\n')
		if err != nil {
			return err
		}
		if string(got) != want {
			return fmt.Errorf("the server said %q, want %q", got, want)
		}
	}
	return nil
}
