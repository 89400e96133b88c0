// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

// plugin compiles kubectl labguard and gives a function that runs it.
func (p *people) plugin(t *testing.T) func(who person, words ...string) (string, error) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "kubectl-labguard")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/kubectl-labguard").CombinedOutput(); err != nil {
		t.Fatalf("compile the plugin: %v: %s", err, output)
	}
	return func(who person, words ...string) (string, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), wayTimeout)
		defer cancel()
		output, err := exec.CommandContext(ctx, program, append([]string{"--kubeconfig=" + p.kubeconfig(who), "-n", p.namespace}, words...)...).CombinedOutput()
		return string(output), err
	}
}

// foundAfterwards looks up in the audit log what was done by break glass while neither labguard nor the provider answered.
func foundAfterwards(t *testing.T, p *people) {
	output, err := p.plugin(t)(p.alice, "break-glass", "find", "--audit-log", cluster.AuditLog())
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	unseen := map[string]int{}
	for line := range strings.Lines(output) {
		if fields := strings.Fields(line); len(fields) == 7 && fields[1] == "night" && fields[2] == p.namespace && fields[6] == "-" {
			unseen[fields[4]]++
		}
	}
	for _, object := range []string{
		"pods/desk-0/exec", "pods/desk-0/attach", "pods/desk-0/portforward", "pods/desk-0/proxy", "services/desk/proxy", "pods/desk-0/ephemeralcontainers",
		"deployments.apps/changed",
	} {
		found := 0
		for name, times := range unseen {
			if strings.HasPrefix(strings.NewReplacer(":"+deskPort, "").Replace(name), object) {
				found += times
			}
		}
		if found == 0 {
			t.Errorf("%s is not found", object)
		}
	}
	if t.Failed() {
		t.Log(output)
	}
	t.Logf("what labguard did not see, by what was asked for: %v", unseen)
}

func (p *people) openUses() ([]v1alpha1.BreakGlassUse, error) {
	var uses v1alpha1.BreakGlassUseList
	if err := p.List(context.WithoutCancel(p.Context()), &uses, client.InNamespace(p.namespace)); err != nil {
		return nil, err
	}
	var open []v1alpha1.BreakGlassUse
	for i := range uses.Items {
		if uses.Items[i].Spec.Acknowledgement == nil {
			open = append(open, uses.Items[i])
		}
	}
	return open, nil
}

// acknowledged has the emergency come while labguard works.
func acknowledged(t *testing.T, p *people) {
	labguard := p.plugin(t)
	if err := ways["exec"](t.Context(), p.night.config, p.desk, webSocket); err != nil {
		t.Fatal(err)
	}
	var use v1alpha1.BreakGlassUse
	p.until("labguard has noted the use", func() error {
		open, err := p.openUses()
		if err != nil || len(open) == 0 {
			return errors.Join(err, errors.New("no use is open"))
		}
		use = open[0]
		return nil
	})
	if use.Spec.User != "night" {
		t.Errorf("%+v", use.Spec)
	}
	stands := p.condition("desk", v1alpha1.ConditionBreakGlassUsed, metav1.ConditionTrue, "")
	t.Logf("BreakGlassUsed: %s: %s", stands.Reason, stands.Message)
	p.condition("desk", v1alpha1.ConditionMFAEnforced, metav1.ConditionUnknown, "BreakGlassOpen")
	for _, who := range []person{p.night, p.oneFactor, p.robot, p.yesterday, p.administrator} {
		output, err := labguard(who, "break-glass", "acknowledge", use.Name, "--reason", "a try of a test")
		if err == nil {
			t.Errorf("%s has acknowledged it: %s", who.name, output)
		}
		t.Logf("%s: %s", who.name, strings.TrimSpace(output))
	}
	p.condition("desk", v1alpha1.ConditionBreakGlassUsed, metav1.ConditionTrue, "")
	p.until("a person with two factors has acknowledged every use", func() error {
		open, err := p.openUses()
		for i := range open {
			if output, tried := labguard(p.alice, "break-glass", "acknowledge", open[i].Name, "--reason", "looked into by a test"); tried != nil {
				err = errors.Join(err, fmt.Errorf("%w: %s", tried, output))
			}
		}
		return err
	})
	p.until("the condition is gone", func() error {
		workload, err := p.workload("desk")
		if err != nil {
			return err
		}
		if found := meta.FindStatusCondition(workload.Status.Conditions, v1alpha1.ConditionBreakGlassUsed); found != nil && found.Status == metav1.ConditionTrue {
			return fmt.Errorf("%+v", found)
		}
		return nil
	})
	p.condition("desk", v1alpha1.ConditionMFAEnforced, metav1.ConditionTrue, "")
}

// coldStart restarts the control plane and the node while labguard is down. The network in which the providers are goes with the node, so that they are gone,
// too: the API server has nobody's keys.
func coldStart(t *testing.T, p *people) {
	stopLabguard(t)
	defer startLabguard(t)
	if !cluster.EndsWithTests() {
		t.Log("the cluster was not started by these tests and cannot be restarted by them: only all pods of the laboratory are deleted")
		if err := as(p.machine).CoreV1().Pods(p.namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		p.allRun()
		return
	}
	before := p.allRun()
	begun := time.Now()
	cluster.Restart(t)
	t.Logf("the cluster is ready again after %s", time.Since(begun).Round(100*time.Millisecond))
	p.until("every pod has been started again", func() error {
		var pods corev1.PodList
		if err := p.List(context.WithoutCancel(t.Context()), &pods, client.InNamespace(p.namespace)); err != nil {
			return err
		}
		for i := range pods.Items {
			was, known := before[pods.Items[i].Name]
			status := pods.Items[i].Status
			if known && !ready(&pods.Items[i]) || known && was.Status.ContainerStatuses[0].ContainerID == status.ContainerStatuses[0].ContainerID {
				return fmt.Errorf("pod %s: %+v", pods.Items[i].Name, status.ContainerStatuses)
			}
		}
		if len(pods.Items) < len(before) {
			return fmt.Errorf("%d pods of %d", len(pods.Items), len(before))
		}
		return nil
	})
	t.Logf("all %d pods run again after %s", len(before), time.Since(begun).Round(100*time.Millisecond))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	if err := p.reads(ctx, p.alice); !apierrors.IsUnauthorized(err) {
		t.Errorf("a token of a provider that does not answer, after a restart of the API server: %v", err)
	}
	if err := ways["exec"](ctx, p.night.config, p.desk, webSocket); err != nil {
		t.Errorf("break glass: %v", err)
	}
	afterwards := column{number: len(columns) + 1}
	if err := errors.Join(p.deploys(ctx, afterwards), p.rollsOut(ctx, afterwards), p.replaced(ctx, afterwards), p.collected(ctx, afterwards)); err != nil {
		t.Errorf("a machine deploys: %v", err)
	}
}

// allRun waits until all pods are ready, and gives them.
func (p *people) allRun() map[string]corev1.Pod {
	p.Helper()
	found := map[string]corev1.Pod{}
	p.until("all pods run", func() error {
		var pods corev1.PodList
		if err := p.List(context.WithoutCancel(p.Context()), &pods, client.InNamespace(p.namespace)); err != nil {
			return err
		}
		clear(found)
		for i := range pods.Items {
			if pods.Items[i].DeletionTimestamp != nil || !ready(&pods.Items[i]) {
				return fmt.Errorf("pod %s is not ready", pods.Items[i].Name)
			}
			found[pods.Items[i].Name] = pods.Items[i]
		}
		if len(found) == 0 {
			return errors.New("no pods")
		}
		return nil
	})
	return found
}
