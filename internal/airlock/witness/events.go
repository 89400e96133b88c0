// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
)

// Events tells of sockets that have ended: each Read gives one datagram of NETLINK_SOCK_DIAG.
type Events interface {
	Read(buffer []byte) (int, error)
	Close() error
}

// ErrOverrun is what Read of Events gives when the kernel had more to tell than the buffer of the socket holds. Reading goes on.
var ErrOverrun = errors.New("events of the kernel were lost")

// ended is a socket that has ended. One that this side has reset (SO_LINGER 0) has lost the port of the other side: 0.
type ended struct {
	local, remote netip.AddrPort
}

const (
	// From linux/sock_diag.h and inet_diag.h.
	messageInetDiag  = 20
	headerSize       = 16
	inetDiagSize     = 72
	familyInet       = 2
	familyInet6      = 10
	offsetPorts      = 4
	offsetSource     = 8
	offsetTarget     = 24
	maxQueued        = 1 << 16
	eventsBufferSize = 64 << 10
)

// parseEvents reads the messages of one datagram: struct nlmsghdr and struct inet_diag_msg each, with attributes behind that do not matter here.
func parseEvents(datagram []byte, visit func(ended)) {
	for len(datagram) >= headerSize {
		length := int(binary.NativeEndian.Uint32(datagram))
		if length < headerSize || length > len(datagram) {
			return
		}
		if binary.NativeEndian.Uint16(datagram[4:]) == messageInetDiag {
			if event, ok := parseEvent(datagram[headerSize:length]); ok {
				visit(event)
			}
		}
		datagram = datagram[min((length+3)&^3, len(datagram)):]
	}
}

func parseEvent(message []byte) (ended, bool) {
	if len(message) < inetDiagSize {
		return ended{}, false
	}
	var size int
	switch message[0] {
	case familyInet:
		size = 4
	case familyInet6:
		size = 16
	default:
		return ended{}, false
	}
	from, _ := netip.AddrFromSlice(message[offsetSource : offsetSource+size])
	to, _ := netip.AddrFromSlice(message[offsetTarget : offsetTarget+size])
	event := ended{
		local:  netip.AddrPortFrom(from.Unmap(), binary.BigEndian.Uint16(message[offsetPorts:])),
		remote: netip.AddrPortFrom(to.Unmap(), binary.BigEndian.Uint16(message[offsetPorts+2:])),
	}
	return event, event.local.Port() != 0 && !event.remote.Addr().IsUnspecified()
}

// queue holds events between two polls.
type queue struct {
	mutex  sync.Mutex
	events []ended
}

func (q *queue) add(event ended) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if len(q.events) < maxQueued {
		q.events = append(q.events, event)
	}
}

func (q *queue) take() []ended {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	events := q.events
	q.events = nil
	return events
}

// fill moves events to the queue until the source is closed or fails.
func (q *queue) fill(source Events) error {
	buffer := make([]byte, eventsBufferSize)
	for {
		n, err := source.Read(buffer)
		switch {
		case errors.Is(err, ErrOverrun):
		case err != nil:
			return err
		default:
			parseEvents(buffer[:n], q.add)
		}
	}
}
