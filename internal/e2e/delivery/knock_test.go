// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package delivery

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
)

// knocks are requests that the gate had to answer.
type knocks struct {
	asked   int
	slowest time.Duration
	failed  []string
}

// knock asks the gate again and again about another template of a Deployment that it lets in, while something happens, and fails the test if it does not
// let it in once.
func (l *laboratory) knock(t *testing.T, while func()) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var knocking sync.WaitGroup
	var seen knocks
	knocking.Go(func() {
		wait.UntilWithContext(ctx, func(context.Context) { l.knockOnce(&seen) }, 100*time.Millisecond)
	})
	defer func() {
		stop()
		knocking.Wait()
		t.Logf("meanwhile the gate was asked %d times and failed %d times; the slowest answer took %s", seen.asked, len(seen.failed), seen.slowest.Round(time.Millisecond))
		for _, failure := range seen.failed {
			t.Error(failure)
		}
	}()
	while()
}

func (l *laboratory) knockOnce(seen *knocks) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.Context()), time.Minute)
	defer cancel()
	seen.asked++
	begun := time.Now()
	patch := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"example.com/knock":"%d"}}}}}`, seen.asked)
	_, err := l.clients.AppsV1().Deployments(l.namespace).Patch(ctx, "lis", types.StrategicMergePatchType, patch, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
	took := time.Since(begun)
	seen.slowest = max(seen.slowest, took)
	if err != nil {
		seen.failed = append(seen.failed, fmt.Sprintf("%s after %s: %v", begun.Format(time.TimeOnly), took.Round(time.Millisecond), err))
	}
}
