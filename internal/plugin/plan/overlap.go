// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// shared names something that a selector selects and that a LabWorkload of the plan selects too; "" if there is nothing. Two LabWorkloads that select the same
// pods are stalled (SelectorOverlap).
func (p *planner) shared(selector labels.Selector) string {
	owner := func(of map[string]string) string {
		if !selector.Matches(labels.Set(of)) {
			return ""
		}
		at := slices.IndexFunc(p.subjects, func(s *subject) bool { return s.selects(of) })
		if at < 0 {
			return ""
		}
		return p.subjects[at].Name
	}
	for i := range p.facts.Roots {
		if by := owner(p.facts.Roots[i].Template.Labels); by != "" {
			return "the pods of " + p.facts.Roots[i].words() + ", which are those of LabWorkload " + by
		}
	}
	for i := range p.facts.Pods {
		pod := &p.facts.Pods[i]
		if pod.Namespace != p.facts.Namespace || ended(pod) {
			continue
		}
		if by := owner(pod.Labels); by != "" {
			return "pod " + pod.Name + ", which is one of LabWorkload " + by
		}
	}
	return ""
}

// changing are labels that the next version of the same thing may not have. A Deployment cannot change its selector, and a LabWorkload should not have to.
var changing = []string{"app.kubernetes.io/version", "helm.sh/chart", "version", "chart"}

// narrowed is the selector of a root with the first label of its template that leaves out what is another's, and by which label; "" if there is none.
func (p *planner) narrowed(root *Root, selector metav1.LabelSelector) (narrow metav1.LabelSelector, matcher labels.Selector, by string) {
	of := lasting(root.Template.Labels)
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if _, has := selector.MatchLabels[name]; has || slices.Contains(changing, name) {
			continue
		}
		narrow = *selector.DeepCopy()
		if narrow.MatchLabels == nil {
			narrow.MatchLabels = map[string]string{}
		}
		narrow.MatchLabels[name] = of[name]
		matcher, err := metav1.LabelSelectorAsSelector(&narrow)
		if err == nil && p.shared(matcher) == "" {
			return narrow, matcher, name + "=" + of[name]
		}
	}
	return selector, nil, ""
}
