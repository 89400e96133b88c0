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
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/labguard/labguard/hack/devcluster/internal/cgroup"
	"github.com/labguard/labguard/hack/devcluster/internal/cluster"
	"github.com/labguard/labguard/hack/devcluster/internal/component"
	"github.com/labguard/labguard/hack/devcluster/internal/lifeline"
	"github.com/labguard/labguard/hack/devcluster/internal/program"
)

const usage = `usage: devcluster up --dir DIR [--crds PATH]... [--authentication-config FILE]
                     [--node] [--stop-on-stdin-eof]
       devcluster clean --dir DIR
       devcluster PROGRAM [ARGUMENT]...

up starts a Kubernetes control plane, cert-manager and an OCI registry on
loopback, writes DIR/kubeconfig and DIR/cluster.json, prints "ready" and runs
until it is interrupted. With the DIR of an earlier run it goes on from there.

  --dir DIR    keys, data and logs of this cluster
  --crds PATH  a file or folder of CustomResourceDefinitions to install before
               the controllers start, so that garbage collection knows them at
               once; later ones it notices within 30 seconds
  --authentication-config FILE
               of which OpenID Connect providers the API server takes tokens, besides
               its own tokens and certificates; it reads the file again when it changes
  --node       also a node that runs pods, with DNS for Services and an enforcer of
               NetworkPolicies; needs root on Linux. The cluster is in a network
               namespace of its own then; what it listens on is relayed to loopback
  --node-programs DIR
               what "make node" made; the default is the folder "node" beside this
               program's link
  --stop-on-stdin-eof
               also stop when standard input ends, as it does when the program at
               its other end is gone: for programs that start a cluster

clean removes what a node that was killed has left outside of DIR, its cgroups.
A node cleans up after itself when it is stopped, and when devcluster is killed;
clean is for when the process that does that was killed as well. The next "up"
with the same DIR does it too.

PROGRAM is etcd, kube-apiserver, kube-controller-manager, kube-scheduler,
kubectl, cert-manager, kubelet or kube-proxy. A link to devcluster with such a
name is that program.
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
	switch args[1] {
	case "up":
		return up(args[2:], os.Stdout)
	case "clean":
		return clean(args[2:])
	case component.Janitor:
		return cgroup.Janitor(args[1:], lifeline.Hold)
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
	flags.StringVar(&options.AuthenticationConfig, "authentication-config", "", "")
	flags.BoolVar(&options.Node, "node", false, "")
	flags.StringVar(&options.NodePrograms, "node-programs", besideLink("node"), "")
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
	if options.Cache = cacheDir(); options.Node && options.Cache == "" {
		fmt.Fprintln(os.Stderr, "devcluster: HOME is not set: name a folder for what is fetched in LABGUARD_CACHE")
		return 1
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

// besideLink is the path of name in the folder where this program was called.
func besideLink(name string) string {
	called, err := exec.LookPath(os.Args[0])
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(called), name)
}

// cacheDir is where hack/build keeps what it compiles, empty if there is no such
// folder.
func cacheDir() string {
	if dir := os.Getenv("LABGUARD_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "labguard")
}

func clean(args []string) int {
	flags := flag.NewFlagSet("clean", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	dir := flags.String("dir", "", "")
	if err := flags.Parse(args); err != nil || *dir == "" || flags.NArg() > 0 {
		if err == nil {
			flags.Usage()
		}
		return 2
	}
	if err := cluster.Clean(context.Background(), *dir); err != nil {
		fmt.Fprintf(os.Stderr, "devcluster: %v\n", err)
		return 1
	}
	return 0
}
