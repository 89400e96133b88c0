// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/labguard/labguard/hack/devcluster/internal/thread"
)

// A Network is a network namespace, entered by one thread of this process.
type Network struct {
	// Thread is in the namespace: what is started on it begins there.
	Thread *thread.Thread
	// Path names the namespace for as long as this process lives.
	Path string
}

// New makes a network whose node has address. services is the range of addresses of
// Services, which programs of the node itself can reach as well.
func New(address, services string) (*Network, error) {
	n := &Network{Thread: thread.New()}
	err := n.Thread.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a new network namespace: %w", err)
		}
		n.Path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		if err := setUp(address); err != nil {
			return err
		}
		return routeTo(services)
	})
	if err != nil {
		return nil, fmt.Errorf("make the network of the node: %w", err)
	}
	return n, nil
}

// setUp gives loopback the address of the node, beside its own: pods reach it by
// their default route, and it needs no interface, which not every kernel could
// make.
func setUp(address string) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find loopback: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("start loopback: %w", err)
	}
	parsed, err := netlink.ParseAddr(address + "/32")
	if err != nil {
		return fmt.Errorf("read the address of the node: %w", err)
	}
	if err := netlink.AddrAdd(lo, parsed); err != nil {
		return fmt.Errorf("add the address of the node: %w", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return fmt.Errorf("forward packets: %w", err)
	}
	return nil
}

// routeTo gives the addresses of Services a way out: kube-proxy replaces them by
// those of pods, but only in what the kernel did not refuse before for want of a
// route. The API server calls webhooks by them.
func routeTo(services string) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find loopback: %w", err)
	}
	_, parsed, err := net.ParseCIDR(services)
	if err != nil {
		return fmt.Errorf("read the range of Services: %w", err)
	}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: parsed, Scope: netlink.SCOPE_LINK}); err != nil {
		return fmt.Errorf("add the route to Services: %w", err)
	}
	return nil
}

// Listen listens inside of the network.
func (n *Network) Listen(ctx context.Context, address string) (net.Listener, error) {
	var listener net.Listener
	err := n.Thread.Do(func() error {
		var err error
		listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		return err
	})
	return listener, err
}

// Dial connects to an address inside of the network, which has to be an IP
// address: names would be looked up on other threads. Connecting over loopback
// takes no time, so that one thread is enough for all callers.
func (n *Network) Dial(ctx context.Context, address string) (net.Conn, error) {
	var conn net.Conn
	err := n.Thread.Do(func() error {
		var err error
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", address)
		return err
	})
	return conn, err
}

// Isolate has a child begin in process and mount namespaces of its own: with its
// first process all others in there end, and all mounts go.
func Isolate(attr *syscall.SysProcAttr) {
	attr.Cloneflags = unix.CLONE_NEWPID | unix.CLONE_NEWNS
}
