// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Program lab is a program of the laboratory; its first argument says which.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/labguard/labguard/internal/e2e/lab"
)

const usage = `usage: lab PROGRAM [FLAG]...

  lis       information system: listens for MLLP, writes each control ID to --journal
  engine    interface engine: listens for MLLP, forwards to --target
  analyzer  sends MLLP to --target; GET /stats at --control; writes them to --final at its end
  portal    answers HTTP
  reader    reads the portal at --target; GET /stats at --control
  greeter   a server that speaks first
  greet     talks to a greeter at --target once
  send      sends one MLLP message to --target and ends; --retry keeps trying
  sleep     does nothing until it is told to end
`

var errUsage = errors.New("which program? It is the first argument")

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		if errors.Is(err, errUsage) {
			fmt.Fprint(os.Stderr, usage)
		}
		os.Exit(1)
	}
}

type settings struct {
	listen, target, control, journal, final, name string
	connections                                   int
	every                                         time.Duration
	retry                                         bool
}

func run(args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	var s settings
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.StringVar(&s.listen, "listen", ":2575", "where to listen")
	flags.StringVar(&s.target, "target", "", "whom to connect to")
	flags.StringVar(&s.control, "control", ":8090", "where to answer questions")
	flags.StringVar(&s.journal, "journal", "/dev/stdout", "where to write control IDs")
	flags.StringVar(&s.final, "final", "/dev/stdout", "where to write what was counted")
	flags.StringVar(&s.name, "name", hostname(), "what control IDs begin with")
	flags.IntVar(&s.connections, "connections", 4, "how many connections")
	flags.DurationVar(&s.every, "every", 20*time.Millisecond, "time between two messages of a connection")
	flags.BoolVar(&s.retry, "retry", false, "keep trying")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	programs := map[string]func(context.Context, settings) error{
		"lis": lis, "engine": engine, "analyzer": analyzer, "portal": portal, "reader": reader, "greeter": greeter, "greet": greet, "send": send, "sleep": sleep,
	}
	program, known := programs[args[0]]
	if !known {
		return errUsage
	}
	return program(ctx, s)
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "lab"
	}
	return name
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	return config.Listen(ctx, "tcp", address)
}

func lis(ctx context.Context, s settings) error {
	journal, err := os.OpenFile(s.journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, s.listen)
	if err != nil {
		return err
	}
	return (&lab.Server{Process: lab.Journal(journal)}).Serve(ctx, listener)
}

func engine(ctx context.Context, s settings) error {
	listener, err := listen(ctx, s.listen)
	if err != nil {
		return err
	}
	return (&lab.Server{Process: lab.Forward(s.target)}).Serve(ctx, listener)
}

func analyzer(ctx context.Context, s settings) error {
	load := &lab.Load{Name: s.name, Target: s.target, Connections: s.connections, Every: s.every}
	done := make(chan struct{})
	go func() {
		defer close(done)
		load.Run(ctx)
	}()
	if err := answer(ctx, s.control, lab.Answer(load.Stats), done); err != nil {
		return err
	}
	final, err := json.Marshal(load.Stats())
	if err != nil {
		return err
	}
	return os.WriteFile(s.final, final, 0o600)
}

// answer serves until the context ends, and then until the work is done.
func answer(ctx context.Context, address string, handler http.Handler, done <-chan struct{}) error {
	listener, err := listen(ctx, address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Second}
	ended := make(chan error, 1)
	go func() {
		<-ctx.Done()
		<-done
		// Requests under way are answered; connections that are idle are closed.
		ended <- server.Shutdown(context.WithoutCancel(ctx))
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ended
}

func portal(ctx context.Context, s settings) error {
	done := make(chan struct{})
	close(done)
	return answer(ctx, s.listen, lab.Portal(), done)
}

func reader(ctx context.Context, s settings) error {
	reading := &lab.Reader{URL: "http://" + s.target + "/4711"}
	done := make(chan struct{})
	go func() {
		defer close(done)
		reading.Run(ctx)
	}()
	return answer(ctx, s.control, lab.Answer(reading.Stats), done)
}

func greeter(ctx context.Context, s settings) error {
	listener, err := listen(ctx, s.listen)
	if err != nil {
		return err
	}
	return lab.Greet(ctx, listener)
}

func greet(ctx context.Context, s settings) error { return lab.Greeted(ctx, s.target) }

func send(ctx context.Context, s settings) error {
	connection := &lab.Connection{Target: s.target}
	defer connection.Close()
	for {
		err := connection.Send(ctx, s.name)
		if err == nil {
			_, err = fmt.Fprintln(os.Stdout, "acknowledged")
			return err
		}
		if !s.retry || ctx.Err() != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, _ settings) error {
	<-ctx.Done()
	return nil
}
