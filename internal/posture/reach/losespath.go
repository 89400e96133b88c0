// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Preview asks what would be cut if a policy of labguard were written.
type Preview struct {
	// LabWorkload whose policy it is; its ports tell peers that are LabWorkloads from those that are not.
	LabWorkload *v1alpha1.LabWorkload
	// Would is the policy that would be written; its podSelector says which pods are governed.
	Would networkingv1.NetworkPolicySpec
	// Policy is the name under which it would be written. A policy of that name in the World would be replaced.
	Policy string
	// Services and Ingresses are those of the namespace; others do no harm.
	Services  []corev1.Service
	Ingresses []networkingv1.Ingress
}

// LosesPath names in sorted lines of less than 512 bytes what exists in the namespace and would lose its path to or from the governed
// pods. A path is lost if the policies that exist allow it and those that would exist do not. What really talks to what is not known, so
// only ports on which somebody seems to listen count: ports of containers, target ports of Services, ports of the spec, ports of scrapes.
//
//   - "pod x": a pod of the namespace, governed ones included, that could no longer reach such a port of a governed pod.
//   - "Service s": one that leads to governed pods, on a port that no rule would open to anybody; or, if it is seen from outside of the
//     cluster, to any block of addresses.
//   - "Ingress i": its backend leads to a port of governed pods that no rule would open to anybody but LabWorkloads. Where the pods of
//     an ingress controller are is not known, so any pods peer or external peer counts as it.
//   - "Prometheus": a governed pod, or a Service that leads to one, is annotated prometheus.io/scrape: "true", and no pods peer would reach
//     the port of prometheus.io/port, else the declared ports.
//   - "these pods": the governed pods could no longer reach a port of a Service, or of a pod of the namespace that no such Service stands for.
//
// Pods of other namespaces are not named: without a Service, an Ingress or a scrape nothing says that they have a path to lose.
func LosesPath(world World, preview Preview) []string {
	p := newPaths(&world, preview)
	if len(p.governed) == 0 {
		return nil
	}
	lines := map[string]bool{}
	for _, find := range []func(map[string]bool){p.inbound, p.services, p.ingresses, p.scrapes, p.outbound} {
		find(lines)
	}
	return slices.Sorted(maps.Keys(lines))
}

// paths is what one call of LosesPath looks through.
type paths struct {
	preview       Preview
	namespace     string
	before, after net
	// all are the pods of the namespace; governed and the rest are parts of it.
	all, governed, rest []*class
	leads               []lead
}

// lead is a Service of the namespace that selects pods.
type lead struct {
	service  *corev1.Service
	selector labels.Selector
}

func newPaths(world *World, preview Preview) *paths {
	p := &paths{preview: preview, namespace: preview.LabWorkload.Namespace}
	would := compile(preview.Policy, &preview.Would)
	p.before = net{world, world.policies(p.namespace)}
	p.after = net{world, append(world.policies(p.namespace, preview.Policy), would)}
	looks := newFeatures()
	looks.addPolicies(p.before.policies...)
	looks.addPolicies(p.after.policies...)
	for i := range preview.Services {
		service := &preview.Services[i]
		if service.Namespace != p.namespace || len(service.Spec.Selector) == 0 || service.Spec.Type == corev1.ServiceTypeExternalName {
			continue
		}
		found := lead{service, labels.SelectorFromSet(service.Spec.Selector)}
		looks.addSelector(found.selector)
		p.leads = append(p.leads, found)
	}
	var pods []*Pod
	for i := range world.Pods {
		if pod := &world.Pods[i]; pod.Namespace == p.namespace {
			pods = append(pods, pod)
		}
	}
	p.all = looks.classify(pods)
	for _, c := range p.all {
		if would.selects(c.pod) {
			p.governed = append(p.governed, c)
		} else {
			p.rest = append(p.rest, c)
		}
	}
	return p
}

// lost are the ports among those that count which source could reach on target before and not after.
func (p *paths) lost(source, target *class, counted set[port]) set[port] {
	if !source.others(target) {
		return nil
	}
	was := counted.intersect(p.before.reachable(source.pod, target.pod))
	if len(was) == 0 {
		return nil
	}
	return was.minus(p.after.reachable(source.pod, target.pod))
}

// listening are the ports of a class on which somebody seems to listen.
func (p *paths) listening(c *class) set[port] {
	found := c.pod.declared()
	for _, l := range p.leads {
		for _, s := range l.ports(c.pod) {
			found = found.union(portSet(s.target))
		}
	}
	return found
}

// specPorts are the ports of the spec that have a peer of one of the kinds.
func (p *paths) specPorts(counts func(v1alpha1.IngressPeer) bool) set[port] {
	encryption := p.preview.LabWorkload.Spec.Encryption
	if encryption == nil || encryption.InTransit == nil {
		return nil
	}
	var found []port
	for _, declared := range encryption.InTransit.Ports {
		if number, ok := portOf(corev1.ProtocolTCP, declared.Port); ok && slices.ContainsFunc(declared.AllowFrom, counts) {
			found = append(found, number)
		}
	}
	return portSet(found...)
}

// inbound names the pods of the namespace that could no longer reach a port of the governed pods.
func (p *paths) inbound(lines map[string]bool) {
	// A port of the spec counts also if nobody may reach it.
	mine := p.specPorts(func(v1alpha1.IngressPeer) bool { return true })
	counted := make([]set[port], len(p.governed))
	for i, target := range p.governed {
		counted[i] = p.listening(target).union(mine).union(scrapePorts(target.pod.Annotations, nil))
	}
	for _, source := range p.all {
		var lost set[port]
		for i, target := range p.governed {
			lost = lost.union(p.lost(source, target, counted[i]))
		}
		if len(lost) == 0 {
			continue
		}
		for _, pod := range source.members {
			lines["pod "+pod.Name+" could no longer reach "+portWords(flatten(lost))+" of these pods"] = true
		}
	}
}

// outbound names what the governed pods could no longer reach in the namespace: a Service where there is one, else the pod.
func (p *paths) outbound(lines map[string]bool) {
	for _, target := range p.rest {
		var lost set[port]
		counted := p.listening(target)
		for _, source := range p.governed {
			lost = lost.union(p.lost(source, target, counted))
		}
		told := set[port](nil)
		for _, l := range p.leads {
			for _, s := range l.ports(target.pod) {
				if lost.has(s.target) {
					told = told.union(portSet(s.target))
					lines["these pods could no longer reach port "+s.String()+" of Service "+l.service.Name] = true
				}
			}
		}
		left := lost.minus(told)
		if len(left) == 0 {
			continue
		}
		for _, pod := range target.members {
			lines["these pods could no longer reach "+portWords(flatten(left))+" of pod "+pod.Name] = true
		}
	}
}

// flatten lists the ports of a set that was made of single ports.
func flatten(ports set[port]) []port {
	var found []port
	for _, s := range ports {
		for at := s.lo; at <= s.hi; at++ {
			found = append(found, at)
		}
	}
	return found
}
