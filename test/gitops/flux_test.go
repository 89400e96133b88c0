// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"path/filepath"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const fluxDocs = "../../docs/gitops/flux"

// checks are health check expressions by kind.
type checks map[string]*cel.StatusEvaluator

// expressions reads spec.healthCheckExprs of a Flux Kustomization, of which nothing may be misspelled.
func expressions(t *testing.T, file string) checks {
	t.Helper()
	var kustomization struct {
		Spec struct {
			HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(fluxDocs, file))), &kustomization); err != nil {
		t.Fatal(err)
	}
	all := checks{}
	for _, check := range kustomization.Spec.HealthCheckExprs {
		evaluator, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
		if err != nil {
			t.Fatalf("%s: %s: %v", file, check.Kind, err)
		}
		if all[check.Kind] != nil {
			t.Fatalf("%s: two entries of %s, which Flux refuses", file, check.Kind)
		}
		all[check.Kind] = evaluator
	}
	if len(all) == 0 {
		t.Fatalf("%s has no expressions", file)
	}
	return all
}

// judge is what Flux says of an object. An error is no failure to it: it asks again.
func (c checks) judge(t *testing.T, object *unstructured.Unstructured) string {
	t.Helper()
	evaluator := c[object.GetKind()]
	if evaluator == nil {
		t.Fatalf("no expression for %s", object.GetKind())
	}
	result, err := evaluator.Evaluate(t.Context(), object)
	if err != nil {
		return waits
	}
	return string(result.Status)
}
