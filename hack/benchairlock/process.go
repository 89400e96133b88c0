// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pair is the client side and the server side of a contender.
type pair struct {
	processes []*exec.Cmd
}

// start starts both sides and waits until both listen.
func start(ctx context.Context, one contender, directory string, p ports) (*pair, error) {
	client, server, err := one.commands(directory, p)
	if err != nil {
		return nil, err
	}
	started := &pair{}
	for _, line := range [][]string{server, client} {
		process := exec.CommandContext(ctx, line[0], line[1:]...)
		process.Stdout, process.Stderr, process.Env = nil, nil, append(os.Environ(), one.environment...)
		process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := process.Start(); err != nil {
			return nil, errors.Join(err, started.stop())
		}
		started.processes = append(started.processes, process)
	}
	for _, port := range []int{p.secure, p.plain} {
		if err := reachable(ctx, port); err != nil {
			return nil, errors.Join(err, started.stop())
		}
	}
	return started, nil
}

func reachable(ctx context.Context, port int) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		connection, err := net.Dial("tcp", at(port)) //nolint:noctx // On loopback it is there or not.
		if err == nil {
			return connection.Close()
		}
		if time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *pair) stop() error {
	var failed error
	for _, process := range p.processes {
		failed = errors.Join(failed, process.Process.Kill())
		_ = process.Wait()
	}
	return failed
}

// cpu is user and system time of both in seconds.
func (p *pair) cpu() (float64, error) {
	const ticks = 100
	total := 0.0
	for _, process := range p.processes {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process.Process.Pid))
		if err != nil {
			return 0, err
		}
		// The name in parentheses may have spaces. Behind it, state is field 3, utime 14 and stime 15.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		for _, field := range fields[11:13] {
			n, err := strconv.ParseFloat(field, 64)
			if err != nil {
				return 0, err
			}
			total += n / ticks
		}
	}
	return total, nil
}

// memory is what both have resident, and what of it is theirs alone, in KiB.
func (p *pair) memory() (resident, private float64, err error) {
	for _, process := range p.processes {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", process.Process.Pid))
		if err != nil {
			return 0, 0, err
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) != 3 {
				continue
			}
			n, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				continue
			}
			switch fields[0] {
			case "Rss:":
				resident += n
			case "Private_Clean:", "Private_Dirty:":
				private += n
			}
		}
	}
	return resident, private, nil
}

// freePorts finds three ports that nobody has.
func freePorts() (found ports, err error) {
	var open []net.Listener
	defer func() {
		for _, listener := range open {
			err = errors.Join(err, listener.Close())
		}
	}()
	for _, port := range []*int{&found.plain, &found.secure, &found.application} {
		listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // On loopback.
		if err != nil {
			return ports{}, err
		}
		open = append(open, listener)
		address, ok := listener.Addr().(*net.TCPAddr)
		if !ok {
			return ports{}, errors.New("no TCP address")
		}
		*port = address.Port
	}
	return found, nil
}
