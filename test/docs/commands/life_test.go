// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"strings"
	"testing"
	"time"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/documented"
	"github.com/labguard/labguard/internal/testutil/operator"
)

const day = 24 * time.Hour

// install installs labguard as its page says. No pod of it runs, as there is no node: tests start it beside the cluster.
func (d desk) install() {
	d.Helper()
	d.run(documented.Block(d, "docs/install.md", "Into the cluster > With kustomize", 1))
}

// heldRollout is a laboratory whose rollout waits.
func (d desk) heldRollout(t *testing.T) *operator.Operator {
	t.Helper()
	running := operator.Start(t, operator.Options{})
	d.namespace("pathology")
	d.apply(workload("pathology", "lis", ", onStale: Hold"))
	d.governed("pathology", "lis")
	d.apply(deployment("pathology", "lis", operator.Push(t, "lab/lis:held", 200*day)))
	d.until("the rollout is held", paused, "true")
	return running
}

// ungated installs labguard without what a labguard of an earlier test has made: nobody but labguard writes uses of break glass while its policy is there.
func (d desk) ungated() {
	d.Helper()
	d.run("kubectl delete --ignore-not-found clusterrole labguard-webhook-anchor\n" +
		"kubectl wait --for=delete --timeout=2m -l app.kubernetes.io/managed-by=labguard validatingadmissionpolicies,validatingwebhookconfigurations")
	d.install()
}

const paused = "kubectl get deployment -n pathology lis -o jsonpath='{.spec.paused}'"

// nothingRefuses fails if a rollout is held or refused.
func (d desk) nothingRefuses(t *testing.T) {
	t.Helper()
	const gate = "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations,validatingadmissionpolicies,mutatingadmissionpolicies " +
		"-l app.kubernetes.io/managed-by=labguard -o name"
	operator.Eventually(d, "the gate is gone", func() error {
		out, err := d.Run(quiet{d.TB}, gate)
		if err == nil && strings.TrimSpace(out) != "" {
			err = errorf("there are %s", out)
		}
		return err
	})
	operator.Eventually(d, "the hold is given back", func() error {
		out, err := d.Run(quiet{d.TB}, paused)
		if err == nil && strings.Contains(out, "true") {
			err = errorf("it is there")
		}
		return err
	})
	d.run("kubectl set image -n pathology deployment/lis lis=" + operator.Push(t, "lab/lis:older", 300*day))
}

func TestUninstallWhileLabguardRuns(t *testing.T) {
	d := sit(t)
	d.install()
	d.heldRollout(t)
	d.run(documented.Block(t, "docs/install.md", "Uninstall > With kustomize", 1))
	d.nothingRefuses(t)
	if out, err := cluster.Kubectl(t, "get", "crd", "labworkloads.labguard.dev"); err == nil {
		t.Errorf("something is left: %s", out)
	}
	d.install()
}

func TestUninstallWhileLabguardIsDown(t *testing.T) {
	d := sit(t)
	d.install()
	d.plugin()
	d.heldRollout(t).Kill(t)
	d.run(documented.Block(t, "docs/install.md", "Uninstall > With kustomize", 2))
	d.nothingRefuses(t)
	d.install()
}

func TestTheNamespaceOfLabguardWasJustDeleted(t *testing.T) {
	d := sit(t)
	d.install()
	d.plugin()
	d.heldRollout(t).Kill(t)
	d.run("kubectl delete namespace labguard-system --timeout=90s")
	out, err := d.Run(t, "kubectl set image -n pathology deployment/lis lis="+operator.Push(t, "lab/lis:other", 300*day))
	if err == nil || !strings.Contains(out, "failed calling webhook") {
		t.Errorf("the gate is not closed: %v", err)
	}
	takeDown := documented.Block(t, "docs/install.md", "Without labguard", 1)
	if concepts := documented.Block(t, "docs/concepts.md", "The anchor", 1); concepts != takeDown {
		t.Errorf("two pages have two commands that take the gate down: %s%s", takeDown, concepts)
	}
	d.run(takeDown)
	d.run(documented.Block(t, "docs/install.md", "Without labguard", 2))
	d.nothingRefuses(t)
	d.run(documented.With(t, documented.Block(t, "docs/install.md", "Without labguard", 3), "NAMESPACE", "pathology"))
	if out := d.run("kubectl get deployment -n pathology lis -o yaml"); strings.Contains(out, "labguard.dev/admi") {
		t.Errorf("the annotations are there:\n%s", out)
	}
	d.install()
}
