// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/labguard/labguard/hack/devcluster/internal/cluster"
	"github.com/labguard/labguard/hack/devcluster/internal/lifeline"
	"github.com/labguard/labguard/hack/devcluster/internal/program"
)

const usage = `usage: devcluster up --dir DIR [--crds PATH]... [--stop-on-stdin-eof]
       devcluster PROGRAM [ARGUMENT]...

up starts a Kubernetes control plane, cert-manager and an OCI registry on
loopback, writes DIR/kubeconfig and DIR/cluster.json, prints "ready" and runs
until it is interrupted. With the DIR of an earlier run it goes on from there.

  --dir DIR    keys, data and logs of this cluster
  --crds PATH  a file or folder of CustomResourceDefinitions to install before
               the controllers start, so that garbage collection knows them at
               once; later ones it notices within 30 seconds
  --stop-on-stdin-eof
               also stop when standard input ends, as it does when the program at
               its other end is gone: for programs that start a cluster

PROGRAM is etcd, kube-apiserver, kube-controller-manager, kube-scheduler,
kubectl or cert-manager. A link to devcluster with such a name is that program.
`

func main() {
	os.Exit(run(os.Args))
}

// run picks what to be by the name it was called by, then by the first argument.
func run(args []string) int {
	if p, ok := program.Lookup(filepath.Base(args[0])); ok {
		return serve(p, args)
	}
	if len(args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	if args[1] == "up" {
		return up(args[2:], os.Stdout)
	}
	if p, ok := program.Lookup(args[1]); ok {
		return serve(p, args[1:])
	}
	fmt.Fprintf(os.Stderr, "devcluster: unknown command %q\n%s", args[1], usage)
	return 2
}

// serve is one program. If `up` started it, it ends with `up`.
func serve(p program.Program, args []string) int {
	lifeline.Hold(func() { os.Exit(1) })
	return p(args)
}

func up(args []string, out io.Writer) int {
	var options cluster.Options
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	flags.StringVar(&options.Dir, "dir", "", "")
	flags.Func("crds", "", func(path string) error {
		options.CRDs = append(options.CRDs, path)
		return nil
	})
	stopOnEOF := flags.Bool("stop-on-stdin-eof", false, "")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if options.Dir == "" || flags.NArg() > 0 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *stopOnEOF {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	if err := cluster.Up(ctx, options, out); err != nil {
		fmt.Fprintf(os.Stderr, "devcluster: %v\n", err)
		return 1
	}
	return 0
}
