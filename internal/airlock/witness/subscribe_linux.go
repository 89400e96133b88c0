// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The groups of NETLINK_SOCK_DIAG (linux/sock_diag.h) as a mask: SKNLGRP_INET_TCP_DESTROY is 1, SKNLGRP_INET6_TCP_DESTROY is 3.
const destroyGroups = 1<<0 | 1<<2

// receiveBuffer is what is asked for; the kernel gives at most net.core.rmem_max.
const receiveBuffer = 4 << 20

type subscription struct {
	file *os.File
}

// Subscribe asks the kernel to tell of each TCP socket of this network that ends. It takes no privilege: the kernel lets everybody receive these
// groups (NL_CFG_F_NONROOT_RECV in net/core/sock_diag.c).
func Subscribe() (Events, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open NETLINK_SOCK_DIAG: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: destroyGroups}); err != nil {
		return nil, errors.Join(fmt.Errorf("subscribe to NETLINK_SOCK_DIAG: %w", err), unix.Close(fd))
	}
	// Less than asked for means more overruns, which Unattributed shows.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	return &subscription{file: os.NewFile(uintptr(fd), "NETLINK_SOCK_DIAG")}, nil
}

// Read gives one datagram of the kernel, and drops what another process sent.
func (s *subscription) Read(buffer []byte) (int, error) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var n int
	var from unix.Sockaddr
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, from, failed = unix.Recvfrom(int(fd), buffer, 0)
		return !errors.Is(failed, unix.EAGAIN)
	})
	switch {
	case err != nil:
		return 0, err
	case errors.Is(failed, unix.ENOBUFS):
		return 0, ErrOverrun
	case errors.Is(failed, unix.EINTR):
		return 0, nil
	case failed != nil:
		return 0, failed
	}
	if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
		return 0, nil
	}
	return n, nil
}

// Close ends a Read that waits.
func (s *subscription) Close() error { return s.file.Close() }
