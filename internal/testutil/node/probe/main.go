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
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// timeout is how long nothing may happen until a client gives up: a packet that is
// dropped is seen by nothing else.
const timeout = 2 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) < 2 {
		return errors.New("usage: probe serve PORT... | tcp HOST:PORT | udp HOST:PORT | lookup NAME")
	}
	switch args[0] {
	case "serve":
		return serve(ctx, args[1:], out)
	case "tcp", "udp":
		return ask(ctx, args[0], args[1], out)
	case "lookup":
		addresses, err := net.DefaultResolver.LookupHost(ctx, args[1])
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, strings.Join(addresses, "\n"))
		return err
	}
	return fmt.Errorf("unknown command %q", args[0])
}

// serve tells every client the name of this pod.
func serve(ctx context.Context, ports []string, out io.Writer) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	for _, port := range ports {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", ":"+port)
		if err != nil {
			return err
		}
		packets, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", ":"+port)
		if err != nil {
			return err
		}
		go answerConnections(listener, name)
		go answerPackets(packets, name)
	}
	if _, err := fmt.Fprintln(out, "serving", strings.Join(ports, " ")); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func answerConnections(listener net.Listener, name string) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, name)
		_ = conn.Close()
	}
}

func answerPackets(packets net.PacketConn, name string) {
	const ample = 1500
	buffer := make([]byte, ample)
	for {
		_, from, err := packets.ReadFrom(buffer)
		if err != nil {
			return
		}
		_, _ = packets.WriteTo([]byte(name), from)
	}
}

func ask(ctx context.Context, network, address string, out io.Writer) error {
	conn, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if network == "udp" {
		if _, err := io.WriteString(conn, "?"); err != nil {
			return err
		}
	}
	const enough = 1500
	buffer := make([]byte, enough)
	n, err := conn.Read(buffer)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_, err = out.Write(buffer[:n])
	return err
}
