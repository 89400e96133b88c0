// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labguard/labguard/internal/desired/gate"
	"github.com/labguard/labguard/internal/testutil/golden"
)

// outside is a labguard that runs outside the cluster, without Argo Rollouts, anchor and GitOps tool.
func outside() gate.Config {
	return gate.Config{
		Namespaces:   []string{"pathology"},
		LabguardUser: "labguard",
		Endpoint:     gate.Endpoint{URL: "https://localhost:9443/"},
		CABundle:     []byte("CA"),
	}
}

// inside is a labguard that runs in the cluster, with everything.
func inside() gate.Config {
	return gate.Config{
		Namespaces:       []string{"radiology", "chemistry", "radiology"},
		GitOpsNamespaces: []string{"flux-system", "argocd"},
		LabguardUser:     "system:serviceaccount:labguard-system:labguard",
		Endpoint:         gate.Endpoint{ServiceNamespace: "labguard-system", ServiceName: "labguard-webhook", ServicePort: 9443},
		CABundle:         []byte("CA"),
		AnchorName:       "labguard-webhook-anchor",
		AnchorUID:        "6b1e4d2a-0000-4000-8000-000000000000",
		ArgoRollouts:     true,
		TimeoutSeconds:   3,
	}
}

func TestObjectsAreAsInTheGoldens(t *testing.T) {
	for name, config := range map[string]gate.Config{
		"inside": inside(), "outside": outside(), "no-namespaces": {LabguardUser: "labguard", Endpoint: outside().Endpoint},
	} {
		t.Run(name, func(t *testing.T) {
			golden.YAML(t, name+"-webhooks", append(objects(gate.MutatingWebhooks(config)), objects(gate.ValidatingWebhooks(config))...)...)
			marks, marksBinding := gate.Marks(config)
			golden.YAML(t, name+"-marks", marks, marksBinding)
			recovery, recoveryBinding := gate.Recovery(config)
			golden.YAML(t, name+"-recovery", recovery, recoveryBinding)
			gates, gatesBinding := gate.Gates(config)
			golden.YAML(t, name+"-gates", gates, gatesBinding)
		})
	}
}

func objects[T any](typed []T) []any {
	all := make([]any, 0, len(typed))
	for _, object := range typed {
		all = append(all, object)
	}
	return all
}

func TestOrderAndDoublesOfNamesDoNotMatter(t *testing.T) {
	one, other := inside(), inside()
	one.Namespaces, other.Namespaces = []string{"a", "b", "c"}, []string{"c", "a", "b", "a"}
	one.GitOpsNamespaces, other.GitOpsNamespaces = []string{"x", "y"}, []string{"y", "x", "y"}
	if diff := cmp.Diff(gate.ValidatingWebhooks(one), gate.ValidatingWebhooks(other)); diff != "" {
		t.Error(diff)
	}
}

func TestEveryThousandNamesGetAConfigurationOfTheirOwn(t *testing.T) {
	for _, c := range []struct {
		names int
		want  []int
	}{
		{0, []int{0}},
		{1, []int{1}},
		{1000, []int{1000}},
		{1001, []int{1000, 1}},
		{2500, []int{1000, 1000, 500}},
	} {
		t.Run(fmt.Sprint(c.names), func(t *testing.T) {
			config := outside()
			config.Namespaces = nil
			for i := range c.names {
				config.Namespaces = append(config.Namespaces, fmt.Sprintf("lab-%04d", i))
			}
			var listed []string
			mutating, validating := gate.MutatingWebhooks(config), gate.ValidatingWebhooks(config)
			if len(mutating) != len(c.want) || len(validating) != len(c.want) {
				t.Fatalf("got %d and %d configurations, want %d", len(mutating), len(validating), len(c.want))
			}
			for i, want := range c.want {
				name := "labguard-rollouts"
				if i > 0 {
					name = fmt.Sprintf("labguard-rollouts-%d", i+1)
				}
				if *mutating[i].Name != name || *validating[i].Name != name || !gate.IsConfiguration(name) {
					t.Errorf("configuration %d is called %s and %s, want %s", i, *mutating[i].Name, *validating[i].Name, name)
				}
				if want == 0 {
					if len(mutating[i].Webhooks)+len(validating[i].Webhooks) > 0 {
						t.Error("there are webhooks though no namespace is listed")
					}
					continue
				}
				for _, webhook := range mutating[i].Webhooks {
					if got := len(webhook.NamespaceSelector.MatchExpressions[0].Values); got != want {
						t.Errorf("%s of configuration %d lists %d names, want %d", *webhook.Name, i, got, want)
					}
				}
				listed = append(listed, validating[i].Webhooks[0].NamespaceSelector.MatchExpressions[0].Values...)
			}
			if diff := cmp.Diff(config.Namespaces, listed); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOnlyNamesOfTheGateAreItsConfigurations(t *testing.T) {
	for name, want := range map[string]bool{
		"labguard-rollouts": true, "labguard-rollouts-2": true, "labguard-rollouts-17": true,
		"labguard-rollouts-": false, "labguard-rollouts-x": false, "labguard-rollouts-02": false, "my-labguard-rollouts": false, "": false,
	} {
		if got := gate.IsConfiguration(name); got != want {
			t.Errorf("IsConfiguration(%q) = %v", name, got)
		}
	}
}
