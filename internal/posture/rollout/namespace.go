// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/ledger"
)

// Namespace is one namespace as questions about its writes need it, arranged once for many of them. Nobody changes it.
type Namespace struct {
	name      string
	governors []governor
	records   ledger.Records
}

// governor is a LabWorkload with its selector and requirement, read once.
type governor struct {
	workload    *v1alpha1.LabWorkload
	selector    labels.Selector
	requirement posture.ImageRequirement
}

// Arrange takes the LabWorkloads and records of a namespace. A selector that cannot be read selects nothing; the controller reports it as Stalled.
func Arrange(name string, workloads []v1alpha1.LabWorkload, records []v1alpha1.RolloutRecord) *Namespace {
	arranged := &Namespace{name: name, records: ledger.Arrange(records)}
	for i := range workloads {
		workload := &workloads[i]
		selector, err := metav1.LabelSelectorAsSelector(&workload.Spec.Selector)
		if err != nil {
			continue
		}
		one := governor{workload: workload, selector: selector}
		if workload.Spec.Images != nil {
			one.requirement = posture.NewImageRequirement(workload.Spec.Images)
		}
		arranged.governors = append(arranged.governors, one)
	}
	return arranged
}

// governing are the LabWorkloads that enforce image age at an instant on a template with any of these labels.
func (n *Namespace) governing(now time.Time, templates []labels.Set) []posture.Governing {
	var governing []posture.Governing
	for i := range n.governors {
		if one := &n.governors[i]; one.selects(templates) && posture.EnforcementAt(&one.workload.Spec, now).Images {
			governing = append(governing, posture.Governing{Name: n.name + "/" + one.workload.Name, Requirement: one.requirement})
		}
	}
	return governing
}

// frozen says whether a LabWorkload that selects a template with any of these labels is suspended.
func (n *Namespace) frozen(templates []labels.Set) bool {
	return slices.ContainsFunc(n.governors, func(one governor) bool { return one.workload.Spec.Suspend && one.selects(templates) })
}

func (g *governor) selects(templates []labels.Set) bool {
	return slices.ContainsFunc(templates, func(template labels.Set) bool { return g.selector.Matches(template) })
}
