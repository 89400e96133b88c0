// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/component-base/version"

	"github.com/labguard/labguard/hack/devcluster/internal/cgroup"
	"github.com/labguard/labguard/hack/devcluster/internal/install"
	"github.com/labguard/labguard/hack/devcluster/internal/lifeline"
	"github.com/labguard/labguard/hack/devcluster/internal/process"
	"github.com/labguard/labguard/hack/devcluster/internal/thread"
)

const (
	// startTimeout is ample: a start takes seconds, on a machine that compiles
	// something else at the same time perhaps a minute.
	startTimeout = 3 * time.Minute
	// A port can be lost between choosing and using it, but hardly this often.
	startAttempts = 3
)

// Options say which cluster to run.
type Options struct {
	// Dir is the cluster's folder; it is made if it is not there.
	Dir string
	// CRDs are files or folders of custom resource definitions to begin with.
	CRDs []string
	// AuthenticationConfig is a file that says of which OpenID Connect providers the
	// API server takes tokens. It reads the file again when it changes.
	AuthenticationConfig string
	// Node adds a node that runs pods.
	Node bool
	// NodePrograms is the folder of the programs that only a node needs, Cache where
	// those are kept that have to be fetched.
	NodePrograms, Cache string
}

// Up runs a cluster until ctx ends, which is no error, or until a part of it
// fails. It prints to out what it does, and "ready" as a line of its own once
// the cluster can be used. When it returns, all that it started is gone.
func Up(ctx context.Context, o Options, out io.Writer) error {
	objects, err := install.Objects(o.CRDs)
	if err != nil {
		return err
	}
	authentication, err := readable(o.AuthenticationConfig)
	if err != nil {
		return err
	}
	l, err := newLayout(o.Dir)
	if err != nil {
		return err
	}
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	// A killed run may have left them, with a node or without.
	if err := cgroup.Remove(ctx, cgroup.Name(l.dir)); err != nil {
		return err
	}
	// What a killed run left would name processes that are gone.
	if err := os.Remove(l.state()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("prepare %s: %w", l.dir, err)
	}
	line, err := lifeline.New()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	starter := process.Starter{Path: self, Line: line, Thread: thread.New()}
	parts, err := prepareNode(ctx, o, l, starter, out)
	if err != nil {
		return err
	}
	if parts != nil {
		defer parts.stop(context.WithoutCancel(ctx))
		starter.Thread = parts.network.Thread
	}
	s := setup{layout: l, authenticationConfig: authentication, node: parts}
	for attempt := 1; ; attempt++ {
		err := runOnce(ctx, s, starter, objects, out)
		if attempt == startAttempts || !portLost(err) {
			return err
		}
		_, _ = fmt.Fprintln(out, "another program took a port: starting again with another one")
	}
}

// readable is the absolute path of file, if there is one and it can be read.
func readable(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	if _, err := os.ReadFile(file); err != nil {
		return "", fmt.Errorf("read the authentication configuration: %w", err)
	}
	absolute, err := filepath.Abs(file)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", file, err)
	}
	return absolute, nil
}

// portLost reports whether err is a port that was free a moment before.
func portLost(err error) bool {
	ended := (*process.EndedError)(nil)
	return errors.Is(err, syscall.EADDRINUSE) || errors.As(err, &ended) && ended.AddressInUse()
}

// runOnce starts a cluster on free ports, keeps it until ctx ends or a part of
// it does, and stops it.
func runOnce(ctx context.Context, s setup, starter process.Starter, objects []*unstructured.Unstructured, out io.Writer) (err error) {
	begun := time.Now()
	r := newRunner(s, starter, out)
	defer func() {
		stopErr := r.stop()
		if err == nil {
			err = stopErr
		}
	}()
	r.say("Kubernetes %s in %s", version.Get().GitVersion, r.dir)
	if err := r.start(ctx, objects); err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted before the cluster was ready")
		}
		return err
	}
	r.say("registry: %s", address(r.Registry))
	r.say("kubeconfig: %s", r.kubeconfig())
	r.say("started in %s", since(begun))
	r.say("ready")
	return r.wait(ctx)
}

func since(begun time.Time) time.Duration {
	return time.Since(begun).Round(10 * time.Millisecond)
}

// Clean removes what a killed node of the cluster in dir left outside of it.
func Clean(ctx context.Context, dir string) error {
	l, err := newLayout(dir)
	if err != nil {
		return err
	}
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return cgroup.Remove(ctx, cgroup.Name(l.dir))
}
