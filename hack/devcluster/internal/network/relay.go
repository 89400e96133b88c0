// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Relay listens on address outside of the network and passes connections on to
// the same address inside of it, until ctx ends.
func (n *Network) Relay(ctx context.Context, address string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("relay %s: %w", address, err)
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	go func() {
		for {
			outer, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				go n.pass(ctx, outer, address)
			}
		}
	}()
	return nil
}

// pass joins one connection with a new one to address inside.
func (n *Network) pass(ctx context.Context, outer net.Conn, address string) {
	defer func() { _ = outer.Close() }()
	inner, err := n.Dial(ctx, address)
	if err != nil {
		return
	}
	defer func() { _ = inner.Close() }()
	defer context.AfterFunc(ctx, func() { _, _ = outer.Close(), inner.Close() })()
	var both sync.WaitGroup
	both.Go(func() { copyHalf(inner, outer) })
	both.Go(func() { copyHalf(outer, inner) })
	both.Wait()
}

// copyHalf copies one direction and hands on that it has ended. What fails ends
// both directions: nobody is left to tell.
func copyHalf(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		_, _ = to.Close(), from.Close()
		return
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
