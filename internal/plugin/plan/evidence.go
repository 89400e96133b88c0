// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/labguard/labguard/api/v1alpha1"
)

// strangers are lines of status.transit.blockers that name an undeclared peer. A test holds this to what labguard writes.
var strangers = regexp.MustCompile(`^(\S+) speaks plaintext to port ([0-9]{1,5}):`)

// seen are those whom airlock has seen.
func (p *planner) seen(s *subject, open doors) {
	if s.before == nil || s.before.Status.Transit == nil {
		return
	}
	for _, blocker := range s.before.Status.Transit.Blockers {
		match := strangers.FindStringSubmatch(blocker)
		if match == nil {
			continue
		}
		number, _ := strconv.ParseInt(match[2], 10, 32)
		at, err := netip.ParseAddr(match[1])
		if err != nil || number < 1 || number > 65535 {
			continue
		}
		at = at.Unmap()
		opened := open.at(int32(number), "airlock has seen a connection to it")
		if pod := p.podAt(at); pod != nil {
			p.letIn(s, opened, pod.Namespace, pod.Labels, fmt.Sprintf("airlock has seen pod %s/%s (%s) speak plaintext to it: keep it only if it should", pod.Namespace, pod.Name, at))
			continue
		}
		block := v1alpha1.CIDR(netip.PrefixFrom(at, at.BitLen()).String())
		opened.add(v1alpha1.IngressPeer{External: &v1alpha1.ExternalPeer{CIDRs: []v1alpha1.CIDR{block}}}, p.facts.Namespace,
			fmt.Sprintf("airlock has seen %s speak plaintext to it, which is no pod that you may see: if it is a node, a Service hides who it was; keep it only if it should", at))
	}
}

// podAt is the live pod with an address of its own.
func (p *planner) podAt(at netip.Addr) *corev1.Pod {
	for i := range p.facts.Pods {
		pod := &p.facts.Pods[i]
		if ended(pod) || pod.Spec.HostNetwork {
			continue
		}
		if slices.ContainsFunc(addresses(pod), func(own netip.Addr) bool { return own.Unmap() == at }) {
			return pod
		}
	}
	return nil
}

// letIn notes that pods with some labels need a port. Those without labels cannot be told from all others of their namespace.
func (p *planner) letIn(s *subject, opened *door, namespace string, of map[string]string, why string) {
	allow := p.client(namespace, of)
	if allow.Pods != nil && len(allow.Pods.PodSelector.MatchLabels) == 0 {
		s.say(&s.Network, Unknown, "whom port %d would have to let in: %s, and no label of such a pod lasts: give its template labels", opened.number, why)
		return
	}
	opened.add(allow, p.facts.Namespace, why)
}

// client is how pods are let in: as the LabWorkload that selects them, else by their labels.
func (p *planner) client(namespace string, of map[string]string) v1alpha1.IngressPeer {
	if namespace == p.facts.Namespace {
		for _, s := range p.subjects {
			if s.selects(of) {
				return v1alpha1.IngressPeer{LabWorkload: &v1alpha1.LabWorkloadReference{Name: s.Name}}
			}
		}
		return v1alpha1.IngressPeer{Pods: &v1alpha1.PodPeer{PodSelector: &metav1.LabelSelector{MatchLabels: lasting(of)}}}
	}
	for i := range p.facts.Workloads {
		lw := &p.facts.Workloads[i]
		selector, err := metav1.LabelSelectorAsSelector(&lw.Spec.Selector)
		if err == nil && lw.Namespace == namespace && selector.Matches(labels.Set(of)) {
			return v1alpha1.IngressPeer{LabWorkload: &v1alpha1.LabWorkloadReference{Name: lw.Name, Namespace: namespace}}
		}
	}
	only := metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
	return v1alpha1.IngressPeer{Pods: &v1alpha1.PodPeer{NamespaceSelector: &only, PodSelector: &metav1.LabelSelector{MatchLabels: lasting(of)}}}
}

// configured are those that are told to connect.
func (p *planner) configured(s *subject, open doors) {
	for _, service := range p.services() {
		leads := false
		for _, port := range service.Spec.Ports {
			leads = leads || len(p.targets(s, service, port)) > 0
		}
		if !leads {
			continue
		}
		for i := range p.facts.Roots {
			root := &p.facts.Roots[i]
			p.told(s, open, service, p.facts.Namespace, root.words(), root.Template.Labels, &root.Template.Spec)
		}
		for i := range p.facts.Pods {
			pod := &p.facts.Pods[i]
			// A pod of the namespace is known by what makes it.
			if owned := metav1.GetControllerOfNoCopy(pod) != nil; !ended(pod) && (pod.Namespace != p.facts.Namespace || !owned) {
				p.told(s, open, service, pod.Namespace, "pod "+pod.Namespace+"/"+pod.Name, pod.Labels, &pod.Spec)
			}
		}
	}
}

func (p *planner) told(s *subject, open doors, service *corev1.Service, namespace, words string, of map[string]string, spec *corev1.PodSpec) {
	for _, said := range mentions(spec, namespace, service) {
		for _, port := range service.Spec.Ports {
			if said.port != 0 && said.port != port.Port {
				continue
			}
			for _, number := range p.targets(s, service, port) {
				p.letIn(s, open.at(number, ""), namespace, of, fmt.Sprintf("%s of %s names Service %s", said.where, words, service.Name))
			}
		}
	}
}

// declared are LabWorkloads of other namespaces that name the subject under network.egress.
func (p *planner) declared(s *subject, open doors) {
	for i := range p.facts.Workloads {
		lw := &p.facts.Workloads[i]
		if lw.Namespace == p.facts.Namespace || lw.Spec.Network == nil || lw.DeletionTimestamp != nil {
			continue
		}
		for _, entry := range lw.Spec.Network.Egress {
			if entry.LabWorkload == nil || entry.LabWorkload.Name != s.Name || entry.LabWorkload.Namespace != p.facts.Namespace {
				continue
			}
			for _, opened := range open.sorted() {
				if wants(entry.Ports, opened.number) {
					opened.add(v1alpha1.IngressPeer{LabWorkload: &v1alpha1.LabWorkloadReference{Name: lw.Name, Namespace: lw.Namespace}}, p.facts.Namespace,
						fmt.Sprintf("LabWorkload %s/%s names this one under network.egress", lw.Namespace, lw.Name))
				}
			}
		}
	}
}

func wants(ports []v1alpha1.PeerPort, number int32) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(port v1alpha1.PeerPort) bool {
		return port.Port == number && (port.Protocol == "" || port.Protocol == "TCP")
	})
}

// outside are those whom Services let in from outside of the cluster by their addresses.
func (p *planner) outside(s *subject, open doors) {
	for _, service := range p.services() {
		seesOutside := service.Spec.Type == corev1.ServiceTypeLoadBalancer || service.Spec.Type == corev1.ServiceTypeNodePort || len(service.Spec.ExternalIPs) > 0
		if !seesOutside {
			continue
		}
		for _, port := range service.Spec.Ports {
			for _, number := range p.targets(s, service, port) {
				blocks := cidrs(service.Spec.LoadBalancerSourceRanges)
				if len(blocks) == 0 {
					s.say(&s.Network, Unknown, "who comes to port %d from outside of the cluster, through Service %s (%s): name their addresses as external", number, service.Name, service.Spec.Type)
				}
				for some := range slices.Chunk(blocks, maxBlocks) {
					open.at(number, "").add(v1alpha1.IngressPeer{External: &v1alpha1.ExternalPeer{CIDRs: some}}, p.facts.Namespace, "loadBalancerSourceRanges of Service "+service.Name)
				}
			}
		}
	}
}

// maxBlocks is how many address blocks a peer may have.
const maxBlocks = 32

// cidrs are the address blocks that a LabWorkload may name: without host bits, and not everything.
func cidrs(texts []string) []v1alpha1.CIDR {
	var blocks []v1alpha1.CIDR
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil || prefix.Bits() == 0 {
			continue
		}
		if block := v1alpha1.CIDR(prefix.Masked().String()); !slices.Contains(blocks, block) {
			blocks = append(blocks, block)
		}
	}
	slices.Sort(blocks)
	return blocks
}

// addresses are those of a pod.
func addresses(pod *corev1.Pod) []netip.Addr {
	var found []netip.Addr
	for _, ip := range pod.Status.PodIPs {
		if at, err := netip.ParseAddr(ip.IP); err == nil {
			found = append(found, at)
		}
	}
	return found
}
