// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/gate"
	"github.com/labguard/labguard/controllers/hold"
	"github.com/labguard/labguard/internal/posture"
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
// and is collected. It does nothing while a LabWorkload is at stage Strict: see noneStrict.
func takeDown(ctx context.Context, direct client.Client) error {
	if err := noneStrict(ctx, direct); err != nil {
		return err
	}
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

// noneStrict fails while anybody is at stage Strict. With the gate goes what puts airlock into pods: a pod that is replaced later would have none, and neither
// would those that it talks to let it in, nor could anybody reach it. Of that nobody hears before the next drain.
func noneStrict(ctx context.Context, direct client.Reader) error {
	var profiles v1alpha1.AirlockProfileList
	err := direct.List(ctx, &profiles)
	if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return nil // labguard's kinds are gone, and with them whatever was at Strict
	}
	if err != nil {
		return fmt.Errorf("look whether a LabWorkload is at stage Strict: %w", err)
	}
	var strict []string
	for i := range profiles.Items {
		if profile := &profiles.Items[i]; profile.Spec.Stage == v1alpha1.TransitStageStrict {
			strict = append(strict, profile.Namespace+"/"+profile.Spec.LabWorkload)
		}
	}
	if len(strict) == 0 {
		return nil
	}
	slices.Sort(strict)
	return fmt.Errorf("nothing was taken down: at stage Strict is LabWorkload %s, and without labguard a pod that is replaced gets no airlock, so that it is cut off there: "+
		"set encryption.inTransit.stage to Permissive or delete the LabWorkload, wait until `kubectl get airlockprofiles -A` shows no Strict, and do this again", posture.List(strict))
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
