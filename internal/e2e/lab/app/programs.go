// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/e2e/lab"
)

func flags(name string, args []string, define func(*flag.FlagSet)) (*flag.FlagSet, error) {
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	if define != nil {
		define(set)
	}
	err := set.Parse(args)
	return set, err
}

// listen reads the flag --listen and opens it.
func listen(ctx context.Context, name, address string, args []string, define func(*flag.FlagSet)) (net.Listener, error) {
	at := ""
	if _, err := flags(name, args, func(set *flag.FlagSet) {
		set.StringVar(&at, "listen", address, "address and port")
		if define != nil {
			define(set)
		}
	}); err != nil {
		return nil, err
	}
	return (&net.ListenConfig{}).Listen(ctx, "tcp", at)
}

func mllpServer(ctx context.Context, args []string, out io.Writer) error {
	at, err := listen(ctx, "mllp-server", "0.0.0.0:2575", args, nil)
	if err != nil {
		return err
	}
	receiver := lab.NewReceiver(out, clock.RealClock{})
	err = lab.Serve(ctx, at, receiver.Session)
	return errors.Join(err, totals(out, receiver))
}

func totals(out io.Writer, receiver *lab.Receiver) error {
	processed, doubled := receiver.Totals()
	return json.NewEncoder(out).Encode(map[string]int{"processed": processed, "doubled": doubled})
}

func engine(ctx context.Context, args []string, _ io.Writer) error {
	made := lab.Engine{Clock: clock.RealClock{}}
	at, err := listen(ctx, "engine", "0.0.0.0:2575", args, func(set *flag.FlagSet) {
		set.StringVar(&made.Upstream, "upstream", "lis:2575", "where messages go")
	})
	if err != nil {
		return err
	}
	return lab.Serve(ctx, at, made.Session)
}

func httpServer(ctx context.Context, args []string, out io.Writer) error {
	at, err := listen(ctx, "http-server", "0.0.0.0:8080", args, nil)
	if err != nil {
		return err
	}
	receiver := lab.NewReceiver(out, clock.RealClock{})
	err = lab.ServeWeb(ctx, at, receiver.WebHandler())
	return errors.Join(err, totals(out, receiver))
}

func bannerServer(ctx context.Context, args []string, _ io.Writer) error {
	at, err := listen(ctx, "banner-server", "0.0.0.0:2525", args, nil)
	if err != nil {
		return err
	}
	return lab.ServeBanner(ctx, at)
}

func mllpClient(ctx context.Context, args []string, out io.Writer) error {
	return load(ctx, "mllp-client", "lis:2575", args, out, func(to string) lab.Sender { return lab.MLLPSender(to, clock.RealClock{}) })
}

func httpClient(ctx context.Context, args []string, out io.Writer) error {
	return load(ctx, "http-client", "web:8080", args, out, lab.WebSender)
}

// load serves the balance until the context ends, however early the load was stopped.
func load(ctx context.Context, name, to string, args []string, out io.Writer, sender func(string) lab.Sender) error {
	l := &lab.Load{Clock: clock.RealClock{}}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	// The name of a pod is unique in the namespace, and a container that starts again must not repeat its IDs.
	prefix := fmt.Sprintf("%s-%d", host, clock.RealClock{}.Now().UnixMilli())
	at, err := listen(ctx, name, "0.0.0.0:8081", args, func(set *flag.FlagSet) {
		set.StringVar(&to, "to", to, "where messages go")
		set.StringVar(&l.Prefix, "prefix", prefix, "begins every control ID")
		set.IntVar(&l.Connections, "connections", 4, "how many connections")
		set.DurationVar(&l.Pause, "pause", 10*time.Millisecond, "between two messages of a connection")
	})
	if err != nil {
		return err
	}
	l.NewSender = func() lab.Sender { return sender(to) }
	l.Start(ctx)
	printed := make(chan error, 1)
	go func() { printed <- l.Print(out) }()
	err = lab.ServeWeb(ctx, at, l)
	return errors.Join(err, <-printed)
}

func dial(ctx context.Context, args []string, _ io.Writer) error {
	protocol, timeout := "", time.Duration(0)
	set, err := flags("dial", args, func(set *flag.FlagSet) {
		set.StringVar(&protocol, "protocol", "mllp", "mllp, http, banner, or tcp to connect alone")
		set.DurationVar(&timeout, "timeout", lab.AnswerTimeout, "for all of it")
	})
	if err != nil {
		return err
	}
	if set.NArg() != 1 {
		return errors.New("usage: dial [--protocol mllp] HOST:PORT")
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	to, id := set.Arg(0), fmt.Sprintf("dial-%d", clock.RealClock{}.Now().UnixNano())
	var sender lab.Sender
	switch protocol {
	case "mllp":
		sender = lab.MLLPSender(to, clock.RealClock{})
	case "http":
		sender = lab.WebSender(to)
	case "banner":
		return lab.BannerSender(ctx, to, id)
	case "tcp":
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
		if err != nil {
			return err
		}
		return connection.Close()
	default:
		return fmt.Errorf("protocol %q", protocol)
	}
	err = sender.Send(ctx, id)
	return errors.Join(err, sender.Close())
}

func sniff(ctx context.Context, args []string, out io.Writer) error {
	var span time.Duration
	set, err := flags("sniff", args, func(set *flag.FlagSet) {
		set.DurationVar(&span, "for", 10*time.Second, "how long to look")
	})
	if err != nil {
		return err
	}
	if set.NArg() != 2 {
		return errors.New("usage: sniff [--for 10s] INTERFACE PORT")
	}
	port, err := strconv.ParseUint(set.Arg(1), 10, 16)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	seen, err := lab.Sniff(ctx, set.Arg(0), uint16(port), func() {})
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(seen)
}

func sleep(ctx context.Context, _ []string, _ io.Writer) error {
	<-ctx.Done()
	return nil
}
