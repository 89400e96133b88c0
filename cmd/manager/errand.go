// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/controllers/gate"
	"github.com/labguard/labguard/controllers/hold"
	"github.com/labguard/labguard/internal/selftest"
)

const (
	// tryAgain is how soon an errand that has not succeeded is tried again, and tryWithin how long.
	tryAgain, tryWithin = 500 * time.Millisecond, time.Minute
	// lookWithin is how long one look at an installation may take.
	lookWithin = 10 * time.Second
)

// isErrand says whether the flags ask for something that ends instead of the operator.
func (o *options) isErrand() bool { return o.releaseHolds || o.takeDown || o.selfTest }

func runErrand(ctx context.Context, options *options, config *rest.Config) error {
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	direct, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("prepare the connection to the API server: %w", err)
	}
	switch {
	case options.takeDown:
		return takeDown(ctx, direct)
	case options.selfTest:
		return selfTest(ctx, direct, options, os.Stdout)
	default:
		return releaseHolds(ctx, direct)
	}
}

// try goes on with an errand until it succeeds, as API servers and the garbage collector take a moment. It returns what went wrong the last time.
func try(ctx context.Context, errand func(context.Context) error) error {
	var failed error
	err := wait.PollUntilContextTimeout(ctx, tryAgain, tryWithin, true, func(ctx context.Context) (bool, error) {
		failed = errand(ctx)
		return failed == nil, nil
	})
	if err != nil {
		return errors.Join(failed, err)
	}
	return nil
}

// releaseHolds gives everything back that the gate holds.
func releaseHolds(ctx context.Context, direct client.Client) error {
	if err := try(ctx, (hold.Everything{Client: direct, Live: direct}).Release); err != nil {
		return fmt.Errorf("not everything is given back; delete the ClusterRole %s first, which takes the gate down: %w", gate.AnchorName, err)
	}
	return nil
}

// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterroles,resourceNames=labguard-webhook-anchor,verbs=delete

// takeDown takes the gate down, also while labguard runs: without the anchor it writes no configuration any more, and what it is just writing has no owner
// and is collected.
func takeDown(ctx context.Context, direct client.Client) error {
	anchor := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: gate.AnchorName}}
	if err := direct.Delete(ctx, anchor); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete the ClusterRole %s: %w", gate.AnchorName, err)
	}
	keeper := &gate.Reconciler{Client: direct, Holds: hold.Everything{Client: direct, Live: direct}}
	if err := try(ctx, keeper.TearDown); err != nil {
		return fmt.Errorf("take the gate down: %w", err)
	}
	return nil
}

// selfTest says line by line what works and what does not.
func selfTest(ctx context.Context, direct client.Reader, options *options, out io.Writer) error {
	installation := &selftest.Installation{
		Reader: direct, Clock: clock.RealClock{}, Namespace: options.namespace,
		Anchor: gate.AnchorName, Lease: leaseName, Authority: authoritySecret, Service: webhookService,
	}
	var findings []selftest.Finding
	err := try(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, lookWithin)
		defer cancel()
		findings = installation.Look(ctx)
		return selftest.Failed(findings)
	})
	for _, finding := range findings {
		line := "ok     " + finding.What
		if finding.Err != nil {
			line = "FAILED " + finding.What + " " + finding.Err.Error()
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	if err != nil {
		return errors.New("labguard does not work; the lines above say why")
	}
	return nil
}
