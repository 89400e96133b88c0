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
	"syscall"

	"github.com/labguard/labguard/hack/release/source"
)

const usage = `usage: go run ./hack/release -repository REGISTRY/PATH [flags]

Makes the images REGISTRY/PATH/manager and REGISTRY/PATH/airlock of the commit that is checked out, each for all platforms and with a list of
what is in it (SPDX 2.3). They are written to dist/images as OCI layouts and the lists to dist/sbom. Standard output has a line for each
image: its reference by digest.

`

// options are what the command line says.
type options struct {
	// dir is where the checkout is looked for.
	dir        string
	repository string
	output     string
	platforms  string
	push       bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "images: %v\n", err)
		os.Exit(1)
	}
}

// run makes the images that args ask for. References go to stdout; progress, and the usage, to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	target, err := parseTarget(o)
	if err != nil {
		return err
	}
	from, err := source.Read(ctx, o.dir, "images")
	if err != nil {
		return err
	}
	say := func(format string, values ...any) { _, _ = fmt.Fprintf(stderr, format+"\n", values...) }
	say("commit %s of %s", from.Revision, from.Time.Format("2006-01-02 15:04:05 MST"))
	made, err := build(ctx, from, target.platforms, say)
	if err != nil {
		return err
	}
	for _, one := range made {
		if err := write(one, target, o.output, say); err != nil {
			return err
		}
	}
	for _, one := range made {
		if !o.push {
			break
		}
		if err := push(ctx, one, target, say); err != nil {
			return err
		}
	}
	for _, one := range made {
		if _, err := fmt.Fprintln(stdout, target.digest(one)); err != nil {
			return fmt.Errorf("print the references: %w", err)
		}
	}
	return nil
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{dir: "."}
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		_, _ = io.WriteString(stderr, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.dir, "C", o.dir, "folder in the checkout of labguard")
	flags.StringVar(&o.repository, "repository", "", "registry and path under which the images are kept, such as registry.example/labguard")
	flags.StringVar(&o.output, "output", "dist", "folder for layouts and lists")
	flags.StringVar(&o.platforms, "platforms", "linux/amd64,linux/arm64", "platforms, separated by commas")
	flags.BoolVar(&o.push, "push", false, "push the images, with the logins of ~/.docker/config.json or of the folder DOCKER_CONFIG")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("%q is no flag: see -help", flags.Arg(0))
	}
	return o, nil
}
