// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/plan"
)

// selecting is a Deployment that selects its pods by less than all of their labels.
func selecting(name string, selector, template map[string]string) plan.Root {
	return plan.Root{
		Kind: "Deployment", Name: name, Selector: &metav1.LabelSelector{MatchLabels: selector},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: template}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "registry.example/lab/c:1"}}}},
	}
}

// overlaps are the sets of labels that two LabWorkloads of a plan select.
func overlaps(planned plan.Plan, sets []map[string]string) []string {
	var found []string
	for _, set := range sets {
		var by []string
		for _, one := range planned.Workloads {
			selector, err := metav1.LabelSelectorAsSelector(&one.Manifest.Spec.Selector)
			if err == nil && selector.Matches(labels.Set(set)) {
				by = append(by, one.Name)
			}
		}
		if len(by) > 1 {
			found = append(found, fmt.Sprintf("%v by %v", set, by))
		}
	}
	return found
}

func TestNoTwoNewLabWorkloadsSelectTheSamePods(t *testing.T) {
	t.Parallel()
	db := selecting("a-db", map[string]string{"tier": "db"}, map[string]string{"app": "x", "tier": "db"})
	for name, c := range map[string]struct {
		web  map[string]string
		want string
	}{
		"nothing tells them apart":           {map[string]string{"app": "x"}, "deployment/web: its selector also selects the pods of deployment/a-db, which are those of LabWorkload a-db, and no label of its template tells them apart"},
		"what does changes with the version": {map[string]string{"app": "x", "version": "1", "pod-template-hash": "5d"}, "deployment/web: its selector also selects"},
		"a label tells them apart":           {map[string]string{"app": "x", "tier": "web"}, "# with label tier=web: else it would also select the pods of deployment/a-db"},
	} {
		facts := plan.Facts{Namespace: "pathology", Now: noon, Roots: []plan.Root{selecting("web", map[string]string{"app": "x"}, c.web), db}}
		planned := plan.Of(facts)
		if text := told(t, planned); !strings.Contains(text, c.want) {
			t.Errorf("%s: there is no %q in\n%s", name, c.want, text)
		}
		if found := overlaps(planned, []map[string]string{db.Template.Labels, c.web}); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
}

func TestANewLabWorkloadLeavesPodsOfAnotherAlone(t *testing.T) {
	t.Parallel()
	there := v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "by-hand"}, Spec: v1alpha1.LabWorkloadSpec{Selector: metav1.LabelSelector{MatchLabels: map[string]string{"made": "by-hand"}}}}
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "one", Labels: map[string]string{"app": "x", "made": "by-hand"}}}
	facts := plan.Facts{Namespace: "pathology", Now: noon, Workloads: []v1alpha1.LabWorkload{there}, Pods: []corev1.Pod{pod}}
	facts.Roots = []plan.Root{selecting("web", map[string]string{"app": "x"}, map[string]string{"app": "x"})}
	planned := plan.Of(facts)
	if len(planned.Workloads) != 1 || len(planned.Left) != 1 || !strings.Contains(planned.Left[0], "also selects pod one, which is one of LabWorkload by-hand") {
		t.Errorf("%+v", planned)
	}
}

func TestPropertyNewLabWorkloadsNeverOverlap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		facts := plan.Facts{Namespace: "pathology", Now: noon}
		var sets []map[string]string
		for i := range rapid.IntRange(1, 6).Draw(t, "roots") {
			template := rapid.MapOfN(rapid.SampledFrom([]string{"app", "tier", "part", "version"}), rapid.SampledFrom([]string{"x", "y"}), 1, 4).Draw(t, "template")
			selector := map[string]string{}
			for name, value := range template {
				if rapid.Bool().Draw(t, name) {
					selector[name] = value
				}
			}
			facts.Roots = append(facts.Roots, selecting(fmt.Sprintf("r%d", i), selector, template))
			sets = append(sets, template)
		}
		if found := overlaps(plan.Of(facts), sets); len(found) > 0 {
			t.Fatal(found)
		}
	})
}
