// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// The application: the first byte of a connection says what it does. Repeat sends everything back, sink counts until the end and then says that it has.
const (
	repeat = 'r'
	sink   = 's'
	said   = '!'
)

const (
	parallel = 4
	chunk    = 256 << 10
	request  = 200
	// settle is how long connections lie idle before memory is read.
	settle = 5 * time.Second
)

// result is one turn of a contender.
type result struct {
	secondsPerGB, secondsPer1000             float64
	direct50, direct99, through50, through99 time.Duration
	residentPer, privatePer                  float64
	residentEmpty                            float64
	megabytesPerSecond                       float64
}

func measure(ctx context.Context, one contender, o options, directory string) (r result, err error) {
	own, err := os.MkdirTemp(directory, one.name+"-")
	if err != nil {
		return r, err
	}
	p, err := freePorts()
	if err != nil {
		return r, err
	}
	application, err := net.Listen("tcp", at(p.application)) //nolint:noctx // On loopback.
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, application.Close()) }()
	go serve(application)
	started, err := start(ctx, one, own, p)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, started.stop()) }()
	if err := open(p.plain, func(net.Conn) error { return nil }); err != nil {
		return r, fmt.Errorf("the first connection: %w", err)
	}
	for _, step := range []func(context.Context, *pair, ports, options, *result) error{idle, bulk, handshakes, latency} {
		if err := step(ctx, started, p, o, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

func serve(listener net.Listener) {
	for {
		accepted, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = accepted.Close() }()
			mode := make([]byte, 1)
			if _, err := io.ReadFull(accepted, mode); err != nil {
				return
			}
			if mode[0] == repeat {
				_, _ = io.Copy(accepted, accepted)
				return
			}
			buffer := make([]byte, chunk)
			for {
				if _, err := accepted.Read(buffer); err != nil {
					break
				}
			}
			_, _ = accepted.Write([]byte{said})
		}()
	}
}

// open opens a connection to the application, has one byte come back, and hands it over.
func open(port int, use func(net.Conn) error) (err error) {
	connection, err := net.Dial("tcp", at(port)) //nolint:noctx // It has a deadline.
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	if err := connection.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		return err
	}
	if err := exchange(connection, []byte{repeat, said}, 1); err != nil {
		return err
	}
	return use(connection)
}

func exchange(connection net.Conn, message []byte, answer int) error {
	if _, err := connection.Write(message); err != nil {
		return err
	}
	_, err := io.ReadFull(connection, make([]byte, answer))
	return err
}

// inParallel calls work n times, and no more often than parallel at once.
func inParallel(n int, work func() error) error {
	var group sync.WaitGroup
	var mutex sync.Mutex
	var failed error
	left := make(chan struct{}, n)
	for range n {
		left <- struct{}{}
	}
	close(left)
	for range parallel {
		group.Go(func() {
			for range left {
				if err := work(); err != nil {
					mutex.Lock()
					failed = errors.Join(failed, err)
					mutex.Unlock()
					return
				}
			}
		})
	}
	group.Wait()
	return failed
}

func idle(ctx context.Context, started *pair, p ports, o options, r *result) error {
	emptyResident, emptyPrivate, err := started.memory()
	if err != nil {
		return err
	}
	var mutex sync.Mutex
	var held []net.Conn
	defer func() {
		for _, connection := range held {
			_ = connection.Close()
		}
	}()
	if err := inParallel(o.connections, func() error {
		connection, err := net.Dial("tcp", at(p.plain)) //nolint:noctx // On loopback.
		if err != nil {
			return err
		}
		mutex.Lock()
		held = append(held, connection)
		mutex.Unlock()
		return exchange(connection, []byte{repeat, said}, 1)
	}); err != nil {
		return fmt.Errorf("open %d connections: %w", o.connections, err)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settle):
	}
	resident, private, err := started.memory()
	if err != nil {
		return err
	}
	n := float64(o.connections)
	r.residentEmpty, r.residentPer, r.privatePer = emptyResident, (resident-emptyResident)/n, (private-emptyPrivate)/n
	return nil
}

func bulk(_ context.Context, started *pair, p ports, o options, r *result) error {
	before, err := started.cpu()
	if err != nil {
		return err
	}
	begun := time.Now()
	each := o.bytes / parallel
	if err := inParallel(parallel, func() error { return send(p.plain, each) }); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	took := time.Since(begun)
	after, err := started.cpu()
	r.secondsPerGB = (after - before) / (float64(each*parallel) / 1e9)
	r.megabytesPerSecond = float64(each*parallel) / 1e6 / took.Seconds()
	return err
}

func send(port int, total int64) (err error) {
	connection, err := net.Dial("tcp", at(port)) //nolint:noctx // On loopback.
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	buffer := make([]byte, chunk)
	buffer[0] = sink
	for total > 0 {
		n, err := connection.Write(buffer[:min(total, chunk)])
		if err != nil {
			return err
		}
		total -= int64(n)
	}
	if tcp, ok := connection.(*net.TCPConn); ok {
		if err := tcp.CloseWrite(); err != nil {
			return err
		}
	}
	_, err = io.ReadFull(connection, buffer[:1])
	return err
}

func handshakes(_ context.Context, started *pair, p ports, o options, r *result) error {
	before, err := started.cpu()
	if err != nil {
		return err
	}
	if err := inParallel(o.handshakes, func() error { return open(p.plain, func(net.Conn) error { return nil }) }); err != nil {
		return fmt.Errorf("open and close: %w", err)
	}
	after, err := started.cpu()
	r.secondsPer1000 = (after - before) / float64(o.handshakes) * 1000
	return err
}

// latency measures with and without the contender in between, in turns.
func latency(_ context.Context, _ *pair, p ports, o options, r *result) error {
	const turns = 10
	var direct, through []time.Duration
	message := make([]byte, request)
	for range turns {
		for port, into := range map[int]*[]time.Duration{p.application: &direct, p.plain: &through} {
			if err := open(port, func(connection net.Conn) error {
				for range o.exchanges / turns {
					begun := time.Now()
					if err := exchange(connection, message, request); err != nil {
						return err
					}
					*into = append(*into, time.Since(begun))
				}
				return nil
			}); err != nil {
				return fmt.Errorf("exchange: %w", err)
			}
		}
	}
	r.direct50, r.direct99 = quantile(direct, 0.5), quantile(direct, 0.99)
	r.through50, r.through99 = quantile(through, 0.5), quantile(through, 0.99)
	return nil
}

func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(len(values)-1, int(float64(len(values))*q))]
}
