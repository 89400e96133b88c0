// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/labguard/labguard/internal/testutil/cluster"
)

// InNetwork runs f on a thread that is in the network of the node: sockets that f
// makes itself are there, and stay there. What f hands to other goroutines is not.
func InNetwork(f func() error) error {
	return inNetwork(cluster.Node().Network, f)
}

// InNetworkOf is InNetwork for the network of the process pid, of a pod for
// instance.
func InNetworkOf(pid int, f func() error) error {
	return inNetwork(fmt.Sprintf("/proc/%d/ns/net", pid), f)
}

func inNetwork(path string, f func() error) error {
	result := make(chan error, 1)
	go func() {
		// It is never unlocked, so that the thread ends with this goroutine and nobody
		// else finds themselves in that network.
		runtime.LockOSThread()
		namespace, err := os.Open(filepath.Clean(path))
		if err != nil {
			result <- fmt.Errorf("enter the network: %w", err)
			return
		}
		defer func() { _ = namespace.Close() }()
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("enter the network: %w", err)
			return
		}
		result <- f()
	}()
	return <-result
}

// Dial connects from the node to an IP address and port: of a pod, of a Service.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := InNetwork(func() error {
		var err error
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// PodInterface is the interface, in the network of the node, that all packets of
// the pod with this address pass.
func PodInterface(podIP string) (string, error) {
	address, err := netip.ParseAddr(podIP)
	if err != nil || !address.Is4() {
		return "", fmt.Errorf("find the interface of pod %s: it is no IPv4 address", podIP)
	}
	// The kernel prints addresses as numbers of the machine's own byte order.
	four := address.As4()
	var swapped [4]byte
	binary.NativeEndian.PutUint32(swapped[:], binary.BigEndian.Uint32(four[:]))
	wanted := strings.ToUpper(hex.EncodeToString(swapped[:]))
	var found string
	err = InNetwork(func() error {
		content, err := os.ReadFile("/proc/thread-self/net/route")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(content)) {
			if fields := strings.Fields(line); len(fields) > 1 && fields[1] == wanted {
				found = fields[0]
				return nil
			}
		}
		return os.ErrNotExist
	})
	if err != nil {
		return "", fmt.Errorf("find the interface of pod %s: %w", podIP, err)
	}
	return found, nil
}
