// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// dirVariable names the folder of a cluster that runs already.
const dirVariable = "LABGUARD_DEVCLUSTER_DIR"

// An Option changes the cluster that Main starts.
type Option func(*options)

type options struct {
	crds []string
	node bool
	// authentication is the file that the cluster is started with; empty for none.
	authentication     string
	withAuthentication bool
}

// WithCRDs installs the custom resource definitions in paths, which are YAML
// files or folders of them, before the controllers start: garbage collection
// would notice later ones only after up to 30 seconds.
func WithCRDs(paths ...string) Option {
	return func(o *options) { o.crds = append(o.crds, paths...) }
}

// WithNode adds a node that runs pods, which needs root on Linux. Tests that want
// it use package node.
func WithNode() Option {
	return func(o *options) { o.node = true }
}

// WithAuthentication has the API server take tokens of OpenID Connect providers. It
// begins with none: Authenticate says which.
func WithAuthentication() Option {
	return func(o *options) { o.withAuthentication = true }
}

// shared is the cluster of this test binary. Main sets it before any test runs.
var shared instance

// own is the process of the cluster, if Main has started it, and how it did.
var own struct {
	*process
	options
}

// Main runs the tests of m against a cluster and returns the exit code. Why a
// cluster could not be had goes to stderr.
func Main(m *testing.M, opts ...Option) int {
	// controller-runtime prints a stack where nobody says what becomes of its log. Tests look at what comes of things, not at logs.
	log.SetLogger(logr.Discard())
	// Listing tests needs no cluster. The testing package parses flags in Run.
	flag.Parse()
	if list := flag.Lookup("test.list"); list != nil && list.Value.String() != "" {
		return m.Run()
	}
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	code, err := runWithCluster(context.Background(), m, o)
	if err != nil {
		fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
		return 1
	}
	return code
}

func runWithCluster(ctx context.Context, m *testing.M, o options) (code int, err error) {
	program, err := build(ctx, o)
	if err != nil {
		return 0, err
	}
	if dir := os.Getenv(dirVariable); dir != "" {
		if shared, err = attach(ctx, program, dir, o.crds); err != nil {
			return 0, fmt.Errorf("use the cluster of %s=%s: %w", dirVariable, dir, err)
		}
		if o.node && shared.Node == nil {
			return 0, fmt.Errorf("use the cluster of %s=%s: it has no node: start it with --node", dirVariable, dir)
		}
		if o.withAuthentication && shared.AuthenticationConfig == "" {
			return 0, fmt.Errorf("use the cluster of %s=%s: start it with --authentication-config", dirVariable, dir)
		}
		return m.Run(), nil
	}
	dir, err := os.MkdirTemp("", "labguard-cluster-")
	if err != nil {
		return 0, fmt.Errorf("start a cluster: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if o.withAuthentication {
		o.authentication = filepath.Join(dir, "authentication.yaml")
		if err := os.WriteFile(o.authentication, []byte(noProviders), 0o600); err != nil {
			return 0, fmt.Errorf("start a cluster: %w", err)
		}
	}
	up, err := start(ctx, program, filepath.Join(dir, "cluster"), o, os.Stderr)
	if err != nil {
		return 0, err
	}
	shared, own.process, own.options = up.instance, up, o
	code = m.Run()
	return code, own.process.stop()
}
