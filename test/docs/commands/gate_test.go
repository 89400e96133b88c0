// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/documented"
	"github.com/labguard/labguard/internal/testutil/operator"
)

func errorf(format string, arguments ...any) error { return fmt.Errorf(format, arguments...) }

// registryOfPages is how pages call the registry of the demo.
const registryOfPages = "127.0.0.1:5000"

// laboratory is what the demo shows: two namespaces that are governed, with what runs there.
func (d desk) laboratory(t *testing.T) {
	t.Helper()
	d.run("kubectl apply -f hack/lab-ca.yaml")
	d.apply(dns)
	d.namespace("demo-pathology")
	d.namespace("demo-chemistry")
	d.apply(deployment("demo-pathology", "middleware", operator.Push(t, "lab/middleware:7", 128*day)))
	d.apply(deployment("demo-pathology", "lis", operator.Push(t, "lab/lis:2.4", 48*day)))
	manifests, err := os.ReadFile("testdata/laboratory.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d.apply(string(manifests))
	for _, of := range []string{"lis", "analyzer-gateway", "imports", "portal"} {
		namespace := "demo-chemistry"
		if of == "lis" {
			namespace = "demo-pathology"
		}
		d.governed(namespace, of)
	}
}

func TestTheReadmeShowsWhatHappens(t *testing.T) {
	d := sit(t)
	d.install()
	operator.Start(t, operator.Options{})
	d.laboratory(t)
	registry := cluster.RegistryHost()
	operator.Push(t, "lab/lis:1.9", 400*day)
	d.follows(documented.Session(t, "README.md", "See it", 2), registryOfPages, registry)
	d.follows(documented.Session(t, "README.md", "See it", 3))
	d.until("the certificate is issued", "kubectl get lw -n demo-pathology lis -o jsonpath={.status.certificate.notAfter}", "T")
	d.follows(documented.Session(t, "README.md", "A LabWorkload", 1))
	d.apply(job("demo-chemistry", "import", operator.Push(t, "lab/import:1", day)))
	d.until("the job is recorded", "kubectl get rolloutrecords -A", "run-once")
	d.follows(documented.Session(t, "docs/rollout-gate.md", "What is recorded, and where", 1))

	d.apply(deployment("demo-chemistry", "portal", operator.Push(t, "lab/portal:3", 150*day)))
	held := documented.Session(t, "README.md", "See it", 4)
	d.follows(held[:1])
	operator.Push(t, "lab/portal:3", day)
	d.until("the rollout is released", held[1].Command, "RolloutReleased")
	d.until("the rollout goes on", held[1].Command, "ScalingReplicaSet")
	d.follows(held[1:], registryOfPages, registry, "portal-79597757d", "...")
}

func TestAHeldRolloutIsToldAsThePageSays(t *testing.T) {
	d := sit(t)
	d.install()
	operator.Start(t, operator.Options{})
	d.namespace("demo-pathology")
	d.apply(workload("demo-pathology", "lis", ", onStale: Hold"))
	d.governed("demo-pathology", "lis")
	d.apply(deployment("demo-pathology", "lis", operator.Push(t, "lab/lis:2.4", 48*day)))
	operator.Push(t, "lab/lis:1.9", 400*day)
	session := documented.Session(t, "docs/rollout-gate.md", "Hold", 1)
	d.follows(session[:1], registryOfPages, cluster.RegistryHost())
	d.until("the record knows", session[1].Command, "Z")
	d.follows(session[1:])
}

func TestRecoveryModeIsOpenedAndEnded(t *testing.T) {
	d := sit(t)
	d.install()
	operator.Start(t, operator.Options{})
	d.namespace("pathology")
	d.apply(workload("pathology", "lis", ""))
	d.governed("pathology", "lis")
	d.run(documented.Block(t, "docs/rollout-gate.md", "Recovery mode", 1))
	t.Cleanup(func() { _, _ = cluster.Kubectl(t, "delete", "clusterrole", "namespace-patch") })
	d.apply(deployment("pathology", "lis", operator.Push(t, "lab/lis:2.4", 48*day)))
	stale := "kubectl set image -n pathology deployment/lis lis=" + operator.Push(t, "lab/lis:1.9", 400*day)
	if out, err := d.Run(t, stale); err == nil || !strings.Contains(out, "is stale") {
		t.Fatalf("the gate is open before: %v", err)
	}
	maria := func(block string) string {
		return documented.With(t, block, "kubectl label", "kubectl --as=maria label")
	}
	d.until("maria may", "kubectl auth can-i patch namespaces -n pathology --as=maria || true", "yes")
	d.run(maria(documented.Block(t, "docs/rollout-gate.md", "Recovery mode", 2)))
	operator.Eventually(t, "a stale image comes in", func() error {
		_, err := d.Run(quiet{t}, stale)
		return err
	})
	d.run(maria(documented.Block(t, "docs/rollout-gate.md", "Recovery mode", 3)))
	operator.Eventually(t, "labguard removes the label", func() error {
		out, err := d.Run(quiet{t}, "kubectl get namespace pathology -o yaml")
		if err == nil && strings.Contains(out, "recovery-until") {
			err = errorf("it is there")
		}
		return err
	})
}
