// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"net"
	"testing"

	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/testutil/netns"
)

// What crosses an interface is seen in both directions.
func TestSniff(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	other := netns.Connect(t, []string{"10.9.0.10/24"}, []string{"10.9.0.20/24"})
	var log journal
	runReceiver(t, "10.9.0.10:2575", NewReceiver(&log, clock.RealClock{}))
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan struct{})
	type result struct {
		seen Wire
		err  error
	}
	ended := make(chan result, 1)
	go func() {
		seen, err := Sniff(ctx, "eth0", 2575, func() { close(ready) })
		ended <- result{seen, err}
	}()
	<-ready
	other.Do(func() {
		sender := MLLPSender("10.9.0.10:2575", clock.RealClock{})
		if err := sender.Send(t.Context(), "id"); err != nil {
			t.Error(err)
		}
		_ = sender.Close()
		connection, err := net.Dial("tcp", "10.9.0.10:2575")
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = connection.Write([]byte("\x16\x03\x01\x00\x05hello"))
		_, _ = connection.Read(make([]byte, 1))
		_ = connection.Close()
	})
	cancel()
	got := <-ended
	if want := (Wire{Packets: 3, Plaintext: 2, Records: 1}); got.err != nil || got.seen != want {
		t.Errorf("%+v, %v, want %+v", got.seen, got.err, want)
	}
}
