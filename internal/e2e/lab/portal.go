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
	"sync/atomic"
	"time"
)

// Portal answers HTTP with a result.
func Portal() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "%s a result\n", Marker)
	})
}

// Reader reads results from a portal, one after the other.
type Reader struct {
	// URL is where the portal is.
	URL string

	answered, failed atomic.Int64
	lastError        atomic.Value
}

// Run reads until the context ends.
func (r *Reader) Run(ctx context.Context) {
	client := &http.Client{Timeout: dialTimeout}
	for ctx.Err() == nil {
		if err := r.read(ctx, client); err != nil && ctx.Err() == nil {
			r.failed.Add(1)
			r.lastError.Store(err.Error())
		} else {
			r.answered.Add(1)
		}
		wait(ctx, 20*time.Millisecond)
	}
}

func (r *Reader) read(ctx context.Context, client *http.Client) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL, http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, maxMessage)); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the portal answers %s", response.Status)
	}
	return nil
}

// Stats is what was counted so far: Sent are all tries, Acknowledged the answered ones, Again the failed ones.
func (r *Reader) Stats() Stats {
	failure, _ := r.lastError.Load().(string)
	answered, failed := r.answered.Load(), r.failed.Load()
	return Stats{Sent: answered + failed, Acknowledged: answered, Again: failed, LastError: failure}
}

// Greet serves a protocol in which the server speaks first: a greeting, then every line back.
func Greet(ctx context.Context, listener net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	for {
		connection, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept: %w", err)
		}
		go func() {
			defer func() { _ = connection.Close() }()
			if _, err := io.WriteString(connection, Greeting); err == nil {
				_, _ = io.Copy(connection, connection)
			}
		}()
	}
}

// Greeting is what Greet begins with.
const Greeting = "220 lab ready\r\n"

// Greeted says whether a server greets, gives a line back, and ends its half after ours.
func Greeted(ctx context.Context, target string) error {
	dialer := net.Dialer{Timeout: dialTimeout}
	connection, err := dialer.DialContext(ctx, "tcp", target)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer func() { _ = connection.Close() }()
	reader := bufio.NewReader(connection)
	if greeting, err := reader.ReadString('\n'); err != nil || greeting != Greeting {
		return fmt.Errorf("the greeting is %q: %w", greeting, err)
	}
	half, ok := connection.(*net.TCPConn)
	if !ok {
		return errors.New("not TCP")
	}
	if _, err := io.WriteString(half, "hello"); err != nil {
		return err
	}
	if err := half.CloseWrite(); err != nil {
		return err
	}
	if rest, err := io.ReadAll(io.LimitReader(reader, maxMessage)); err != nil || string(rest) != "hello" {
		return fmt.Errorf("after our half was closed came %q: %w", rest, err)
	}
	return nil
}
