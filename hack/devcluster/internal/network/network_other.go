//go:build !linux

// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"errors"
	"net"
	"syscall"

	"github.com/labguard/labguard/hack/devcluster/internal/thread"
)

// errLinux is why nothing here works.
var errLinux = errors.New("a node needs Linux")

// A Network cannot be made on this system.
type Network struct {
	// Thread would be in the network.
	Thread *thread.Thread
	// Path would name it.
	Path string
}

// New fails.
func New(string, string) (*Network, error) { return nil, errLinux }

// Listen fails.
func (*Network) Listen(context.Context, string) (net.Listener, error) { return nil, errLinux }

// Dial fails.
func (*Network) Dial(context.Context, string) (net.Conn, error) { return nil, errLinux }

// Isolate does nothing.
func Isolate(*syscall.SysProcAttr) {}
