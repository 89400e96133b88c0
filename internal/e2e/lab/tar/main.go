// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Program tar is all that is in the pods that people try to get into. It has the name of the one program that kubectl cp needs there.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/labguard/labguard/internal/e2e/lab"
)

const usage = `usage: tar cf - FILE    packs one file
       tar say WORD     says a word
       tar tick         says something every now and then
       tar desk         does so, too, and answers HTTP at port 8090
`

var errUsage = errors.New("what to do?")

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "tar:", err)
		if errors.Is(err, errUsage) {
			fmt.Fprint(os.Stderr, usage)
		}
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch {
	case len(args) == 3 && args[0] == "cf" && args[1] == "-":
		return lab.Pack(os.Stdout, args[2])
	case len(args) == 2 && args[0] == "say":
		_, err := fmt.Fprintln(os.Stdout, args[1])
		return err
	case len(args) == 1 && args[0] == "tick":
		lab.Ticking(ctx, os.Stdout)
		return nil
	case len(args) == 1 && args[0] == "desk":
		return desk(ctx)
	}
	return errUsage
}

func desk(ctx context.Context) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", ":8090")
	if err != nil {
		return err
	}
	go lab.Ticking(ctx, os.Stdout)
	server := &http.Server{Handler: lab.Desk(), ReadHeaderTimeout: time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
