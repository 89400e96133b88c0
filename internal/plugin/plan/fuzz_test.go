// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/plan"
)

// Whatever somebody writes into a pod or into the status, what is printed is one LabWorkload for each document, and no more.
func FuzzWhatOthersWriteStaysAComment(f *testing.F) {
	f.Add("LIS_URL", "mllp://lis:2575", "10.1.0.4 speaks plaintext to port 2575: let it")
	f.Add("X\nspec: {}", "lis.pathology:2575", "::1 speaks plaintext to port 99999: let it")
	f.Add("HOST", "lis\x1b[2J:2575", "nobody speaks plaintext to port 0:")
	f.Fuzz(func(t *testing.T, name, value, blocker string) {
		facts := observed(t)
		facts.Roots = append(facts.Roots, deployment(t, "caller", corev1.Container{Env: []corev1.EnvVar{{Name: name, Value: value}}}))
		for i := range facts.Workloads {
			if transit := facts.Workloads[i].Status.Transit; transit != nil {
				transit.Blockers = append(transit.Blockers, blocker)
			}
		}
		planned := plan.Of(facts)
		text, err := planned.YAML()
		if err != nil {
			t.Fatal(err)
		}
		documents := strings.Split(text, "\n---\n")
		if len(documents) != len(planned.Workloads) {
			t.Fatalf("%d documents for %d LabWorkloads", len(documents), len(planned.Workloads))
		}
		for i, document := range documents {
			var read v1alpha1.LabWorkload
			if err := yaml.UnmarshalStrict([]byte(document), &read); err != nil || read.Name != planned.Workloads[i].Name {
				t.Errorf("%v\n%s", err, document)
			}
		}
	})
}
