// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

type journal struct {
	mu sync.Mutex
	bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.Buffer.Write(p)
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// TestAServerThatIsReplacedUnderLoadLosesAndDoublesNothing shows that the programs themselves keep the balance, so that what a test finds is not theirs.
func TestAServerThatIsReplacedUnderLoadLosesAndDoublesNothing(t *testing.T) {
	first := listen(t, "127.0.0.1:0")
	address := first.Addr().String()
	written := &journal{}
	var servers sync.WaitGroup
	serve := func(listener net.Listener) context.CancelFunc {
		ctx, end := context.WithCancel(t.Context())
		servers.Go(func() {
			if err := (&Server{Process: Journal(written)}).Serve(ctx, listener); err != nil {
				t.Error(err)
			}
		})
		return end
	}
	end := serve(first)
	load := &Load{Name: "a", Target: address, Connections: 4, Every: time.Millisecond}
	loading, stop := context.WithCancel(t.Context())
	var loads sync.WaitGroup
	loads.Go(func() { load.Run(loading) })
	for range 5 {
		reached := load.Stats().Acknowledged + 100
		for load.Stats().Acknowledged < reached {
			wait(t.Context(), time.Millisecond)
		}
		end()
		servers.Wait()
		end = serve(listen(t, address))
	}
	stop()
	loads.Wait()
	end()
	servers.Wait()
	stats := load.Stats()
	processed, doubled, err := Balance("a-", bytes.NewReader(written.Bytes()))
	if err != nil || stats.Sent != stats.Acknowledged || int64(processed) != stats.Sent || len(doubled) > 0 || !stats.Stopped {
		t.Errorf("%+v, processed %d, doubled %v, %v", stats, processed, doubled, err)
	}
	if stats.Again == 0 {
		t.Error("no connection was broken: the test shows nothing")
	}
}

func TestTheBalanceSeesWhatWasProcessedTwice(t *testing.T) {
	processed, doubled, err := Balance("a-", strings.NewReader("a-1\na-2\nb-1\n"), strings.NewReader("a-2\nb-1\n"))
	if err != nil || processed != 2 || len(doubled) != 1 || doubled[0] != "a-2" {
		t.Errorf("processed %d, doubled %v, %v", processed, doubled, err)
	}
}

func TestAnEngineForwardsBeforeItAcknowledges(t *testing.T) {
	written := &journal{}
	lis, engine := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	ctx, end := context.WithCancel(t.Context())
	var servers sync.WaitGroup
	servers.Go(func() { _ = (&Server{Process: Journal(written)}).Serve(ctx, lis) })
	servers.Go(func() { _ = (&Server{Process: Forward(lis.Addr().String())}).Serve(ctx, engine) })
	connection := &Connection{Target: engine.Addr().String()}
	if err := connection.Send(t.Context(), "one"); err != nil {
		t.Error(err)
	}
	connection.Close()
	end()
	servers.Wait()
	if written.String() != "one\n" {
		t.Errorf("the information system has %q", written.String())
	}
}
