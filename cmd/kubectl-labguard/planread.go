// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/plugin/plan"
	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/posture/template"
)

// mostPods bounds what is read of other namespaces.
const mostPods = 20_000

// planned are the kinds that a plan makes LabWorkloads for.
var planned = []string{"Deployment", "StatefulSet", "DaemonSet", "CronJob"}

// planFacts reads a namespace, and of the others what may be read: missing says what may not.
func (p *plugin) planFacts(ctx context.Context, from reader, namespace string) (facts plan.Facts, missing []string, err error) {
	facts = plan.Facts{Namespace: namespace, Now: p.clock.Now()}
	if facts.Workloads, err = from.workloads(ctx, namespace); err != nil {
		return facts, nil, err
	}
	records, err := from.records(ctx, namespace)
	if err != nil {
		return facts, nil, err
	}
	for _, name := range planned {
		known, err := kindNamed(name)
		if err != nil {
			return facts, nil, err
		}
		roots, err := from.roots(ctx, known, namespace)
		if err != nil {
			return facts, nil, err
		}
		facts.Roots = append(facts.Roots, roots...)
	}
	if err := from.planned(ctx, &facts); err != nil {
		return facts, nil, err
	}
	if len(facts.Workloads)+len(facts.Roots)+len(facts.Pods) == 0 {
		return facts, nil, from.nothing(ctx, namespace)
	}
	missing = from.elsewhere(ctx, &facts)
	images := from.contents(ctx)
	facts.Gate = gate.Seen{Namespace: namespace, Records: records, Content: images.of, Digest: images.by, Platform: from.platform(ctx), Now: facts.Now}
	if len(facts.Roots) > 0 {
		images.by("") // what can be read is read before anything is printed
	}
	if err := images.failed(); err != nil {
		missing = append(missing, "how old images are: "+err.Error())
	}
	return facts, missing, nil
}

// roots are the objects of one kind, as the gate reads them and with their pods.
func (r reader) roots(ctx context.Context, kind kind, namespace string) ([]plan.Root, error) {
	var roots []plan.Root
	options := metav1.ListOptions{Limit: pageSize}
	for {
		raw, err := body(r.api.Get().AbsPath(kind.root, "namespaces", namespace, kind.resource).VersionedParams(&options, r.api.parameters).Do(ctx))
		if err != nil {
			return nil, unread("list", kind.resource, namespace, err)
		}
		var page struct {
			Metadata metav1.ListMeta   `json:"metadata"`
			Items    []json.RawMessage `json:"items"`
		}
		if err := json.Unmarshal(raw, &page); err != nil {
			return nil, &unansweredError{fmt.Errorf("read %s: %w", kind.resource, err)}
		}
		for _, item := range page.Items {
			root, err := planRoot(kind.name, item)
			if err != nil {
				return nil, &unansweredError{err}
			}
			roots = append(roots, root)
		}
		if options.Continue = page.Metadata.Continue; options.Continue == "" {
			return roots, nil
		}
	}
}

// planRoot reads one object.
func planRoot(kind string, raw []byte) (plan.Root, error) {
	var object struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
		Spec     struct {
			Selector    *metav1.LabelSelector  `json:"selector"`
			Template    corev1.PodTemplateSpec `json:"template"`
			JobTemplate struct {
				Spec struct {
					Template corev1.PodTemplateSpec `json:"template"`
				} `json:"spec"`
			} `json:"jobTemplate"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		return plan.Root{}, fmt.Errorf("read a %s: %w", kind, err)
	}
	root := plan.Root{Kind: kind, Name: object.Metadata.Name, Selector: object.Spec.Selector, Template: object.Spec.Template}
	if kind == "CronJob" {
		root.Template = object.Spec.JobTemplate.Spec.Template
	}
	var err error
	if root.Gate.Root, err = template.Decode(kind, raw); err != nil {
		return plan.Root{}, err
	}
	root.Gate.Fields, err = hold.Read(kind, raw)
	return root, err
}

// planned reads what else is in the namespace.
func (r reader) planned(ctx context.Context, facts *plan.Facts) error {
	services, err := r.core.Services(facts.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return unread("list", "services", facts.Namespace, err)
	}
	facts.Services = services.Items
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := r.core.Pods(facts.Namespace).List(ctx, options)
		if err != nil {
			return unread("list", "pods", facts.Namespace, err)
		}
		facts.Pods = append(facts.Pods, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	var policies networkingv1.NetworkPolicyList
	if err := r.network(ctx, "networkpolicies", facts.Namespace, &policies); err != nil {
		return err
	}
	facts.Policies = policies.Items
	var ingresses networkingv1.IngressList
	if err := r.network(ctx, "ingresses", facts.Namespace, &ingresses); err != nil {
		return err
	}
	facts.Ingresses = ingresses.Items
	return nil
}

// network lists a kind of networking.k8s.io.
func (r reader) network(ctx context.Context, resource, namespace string, list any) error {
	raw, err := body(r.api.Get().AbsPath("/apis/networking.k8s.io/v1", "namespaces", namespace, resource).Do(ctx))
	if err != nil {
		return unread("list", resource, namespace, err)
	}
	if err := json.Unmarshal(raw, list); err != nil {
		return &unansweredError{fmt.Errorf("read %s: %w", resource, err)}
	}
	return nil
}

// elsewhere adds what other namespaces show. missing are the parts that may not be read.
func (r reader) elsewhere(ctx context.Context, facts *plan.Facts) (missing []string) {
	workloads, err := r.workloads(ctx, metav1.NamespaceAll)
	if err != nil {
		missing = append(missing, "LabWorkloads of other namespaces: "+err.Error())
	}
	for i := range workloads {
		if workloads[i].Namespace != facts.Namespace {
			facts.Workloads = append(facts.Workloads, workloads[i])
		}
	}
	options := metav1.ListOptions{Limit: pageSize, FieldSelector: "metadata.namespace!=" + facts.Namespace}
	for {
		page, err := r.core.Pods(metav1.NamespaceAll).List(ctx, options)
		if err != nil {
			missing = append(missing, "pods of other namespaces, which may connect: "+unread("list", "pods", "", err).Error())
			break
		}
		facts.Pods = append(facts.Pods, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
		if len(facts.Pods) > mostPods {
			missing = append(missing, fmt.Sprintf("pods of other namespaces, which may connect: there are more than %d", mostPods))
			break
		}
	}
	namespaces, err := r.core.Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return append(missing, "labels of namespaces, which NetworkPolicies select by: "+unread("list", "namespaces", "", err).Error())
	}
	facts.Namespaces = map[string]map[string]string{}
	for i := range namespaces.Items {
		facts.Namespaces[namespaces.Items[i].Name] = namespaces.Items[i].Labels
	}
	return missing
}

// nothing says that there is nothing to plan.
func (r reader) nothing(ctx context.Context, namespace string) error {
	if err := r.there(ctx, namespace); err != nil {
		return err
	}
	return &unansweredError{fmt.Errorf("nothing runs in namespace %s, so there is nothing to plan", namespace)}
}
