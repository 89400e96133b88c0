// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"strings"
	"testing"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/documented"
	"github.com/labguard/labguard/internal/testutil/operator"
)

const dns = `
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  selector: {k8s-app: kube-dns}
  ports:
  - {name: dns, port: 53, protocol: UDP, targetPort: 53}
  - {name: dns-tcp, port: 53, protocol: TCP, targetPort: 53}
`

// A laboratory that runs an old image is taken from nothing to everything and back, by the commands of the page and in their order.
func TestALaboratoryIsAdopted(t *testing.T) {
	d := sit(t)
	d.install()
	d.plugin()
	d.apply(dns)
	operator.Start(t, operator.Options{Configuration: trusted(t) + "airlock: {image: \"registry.example/airlock@sha256:" + strings.Repeat("a", 64) + "\"}\n"})
	d.namespace("pathology")
	stale := operator.Push(t, "lab/adopted:1", 200*day)
	d.apply(deployment("pathology", "lis", stale))

	if out := d.run(documented.Block(t, "docs/adoption.md", "2. Look", 1)); !strings.Contains(out, "networkPolicy") {
		t.Errorf("the preview does not have the policy:\n%s", out)
	}
	if out := d.run(documented.Block(t, "docs/adoption.md", "3. Learn the ages", 1)); !strings.Contains(out, stale) {
		t.Errorf("the image is not named:\n%s", out)
	}
	d.run(documented.Block(t, "docs/adoption.md", "4. Warn, then refuse", 1))
	bring := func(tag string) (string, error) {
		return d.Run(t, "kubectl set image -n pathology deployment/lis lis="+operator.Push(t, "lab/adopted:"+tag, 300*day))
	}
	if out, err := bring("warned"); err != nil || !strings.Contains(out, "is stale") {
		t.Errorf("Warn does not warn: %v\n%s", err, out)
	}
	d.run(documented.Block(t, "docs/adoption.md", "4. Warn, then refuse", 2))
	d.run("kubectl rollout restart -n pathology deployment/lis")
	operator.Eventually(t, "Deny refuses", func() error {
		if out, err := bring("refused"); err == nil || !strings.Contains(out, "is stale") {
			return errorf("it is let in: %v %s", err, out)
		}
		return nil
	})
	d.run(documented.Block(t, "docs/adoption.md", "5. Close the network", 1))
	d.run("kubectl wait -n pathology labworkload/lis --for=condition=Ready --timeout=2m")
	enforce := documented.Block(t, "docs/adoption.md", "5. Close the network", 2)
	patch, look, _ := strings.Cut(enforce, "\n")
	d.run(patch)
	operator.Eventually(t, "the policy is there", func() error {
		_, err := d.Run(quiet{t}, look)
		return err
	})
	d.encrypts(t)
	d.run(documented.Block(t, "docs/adoption.md", "7. People", 1))
	d.run(`kubectl patch labworkload lis -n pathology --type=merge -p '{"spec": {"images": {"enforcement": "Audit"}, "network": {"enforcement": "Audit"}}}'`)
	operator.Eventually(t, "the policy is gone", func() error {
		if out, err := cluster.Kubectl(t, "get", "networkpolicy", "-n", "pathology", "-o", "name"); err != nil || strings.TrimSpace(out) != "" {
			return errorf("there is %s, %v", out, err)
		}
		return nil
	})
	operator.Eventually(t, "Audit lets everything in", func() error {
		_, err := bring("audited")
		return err
	})
}

// encrypts goes the way to Strict as far as it goes without pods that run airlock, and back.
func (d desk) encrypts(t *testing.T) {
	t.Helper()
	says := func(what, question, answer string) {
		t.Helper()
		operator.Eventually(t, what, func() error {
			out, err := d.Run(quiet{t}, question)
			if err != nil || strings.TrimSpace(out) != answer {
				return errorf("it is %s, %v", out, err)
			}
			return nil
		})
	}
	d.run(documented.Block(t, "docs/adoption.md", "6. Encrypt", 1))
	says("TransitEncrypted says that labguard observes",
		`kubectl get labworkload lis -n pathology -o jsonpath='{.status.conditions[?(@.type=="TransitEncrypted")].reason}'`, v1alpha1.ReasonObserving)
	if profiles := d.run("kubectl get airlockprofiles -n pathology -o name"); profiles != "" {
		t.Errorf("at Observe there is %s", profiles)
	}
	d.run(documented.Block(t, "docs/adoption.md", "6. Encrypt", 2))
	const stage = "kubectl get airlockprofiles -n pathology -o jsonpath='{range .items[*]}{.spec.stage},{end}'"
	says("pods of both get the sidecar", stage, "Permissive,Permissive,")
	d.run(documented.Block(t, "docs/adoption.md", "6. Encrypt", 3))
	operator.Eventually(t, "labguard has looked", func() error {
		out, err := d.Run(quiet{t}, "kubectl get labworkload lis -n pathology -o jsonpath='{.metadata.generation} {.status.observedGeneration}'")
		if asked, seen, _ := strings.Cut(strings.TrimSpace(out), " "); err != nil || asked != seen {
			return errorf("generation and what it has seen are %s, %v", out, err)
		}
		return nil
	})
	// Nobody could enter it: no pod runs airlock, and a week has to go by.
	if blockers := d.run("kubectl get labworkload lis -n pathology -o jsonpath='{.status.transit.blockers}'"); !strings.Contains(blockers, "168h") {
		t.Errorf("what is in the way of Strict is %s", blockers)
	}
	if stages := d.run(stage); strings.TrimSpace(stages) != "Permissive,Permissive," {
		t.Errorf("Strict is entered: %s", stages)
	}
	d.run(`kubectl delete labworkload interface-engine -n pathology
kubectl patch labworkload lis -n pathology --type=merge -p '{"spec": {"encryption": null}}'`)
}
