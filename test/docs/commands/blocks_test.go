// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"strings"
	"testing"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/documented"
)

func TestRightsAreGivenAsThePagesSay(t *testing.T) {
	d := sit(t)
	d.install()
	d.namespace("pathology")
	for _, name := range []string{"image-inventory", "labguard-metrics-reader"} {
		t.Cleanup(func() { _, _ = cluster.Kubectl(t, "delete", "clusterrolebinding", name) })
	}
	d.run(documented.Block(t, "docs/image-age.md", "The image inventory", 2))
	d.run(documented.Block(t, "docs/image-age.md", "Pull secrets", 1))
	// RBAC needs no moment here: the question is asked of the API server that has stored the binding, until it knows.
	d.until("the inventory is readable", "kubectl auth can-i list imagerecords --as=ann --as-group=platform-team || true", "yes")
	d.until("pull secrets are readable", "kubectl auth can-i get secrets -n pathology --as=system:serviceaccount:labguard-system:labguard || true", "yes")
}

// monitoring are the kinds of the Prometheus operator, by their names alone: that the objects are right is tried in test/monitoring.
const monitoring = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: PLURAL.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {kind: KIND, plural: PLURAL, singular: SINGULAR, listKind: KINDList}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
`

func TestMetricsAreScrapedAsThePageSays(t *testing.T) {
	d := sit(t)
	d.install()
	for kind, plural := range map[string]string{"ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"} {
		d.apply(strings.NewReplacer("PLURAL", plural, "KIND", kind, "SINGULAR", strings.ToLower(kind)).Replace(monitoring))
		t.Cleanup(func() { _, _ = cluster.Kubectl(t, "delete", "crd", plural+".monitoring.coreos.com") })
		d.run("kubectl wait --for=condition=Established crd/" + plural + ".monitoring.coreos.com")
	}
	d.run(documented.Block(t, "docs/metrics.md", "Prometheus and Grafana", 1))
	t.Cleanup(func() { _, _ = cluster.Kubectl(t, "delete", "clusterrolebinding", "labguard-metrics-reader") })
	d.until("Prometheus may", "kubectl auth can-i get /metrics --as=system:serviceaccount:monitoring:prometheus-k8s || true", "yes")
	d.until("Prometheus finds pods", "kubectl auth can-i list pods -n labguard-system --as=system:serviceaccount:monitoring:prometheus-k8s || true", "yes")
}

func TestArgoCDIsTold(t *testing.T) {
	d := sit(t)
	d.namespace("argocd")
	d.run("kubectl create configmap -n argocd argocd-cm")
	d.run(documented.Block(t, "docs/gitops/README.md", "GitOps", 1))
}
