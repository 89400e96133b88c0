// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/knftables"
)

// Switches say how the enforcer behaves.
type Switches struct {
	// Enforce is false for a network plugin that ignores policies.
	Enforce bool `json:"enforce"`
	// NodeTraffic is whether the node itself reaches pods whatever policies say, as
	// with most network plugins. Without it policies judge the node as any address.
	NodeTraffic bool `json:"nodeTraffic"`
}

// The names of the maps from a pod's address to the chain that judges it.
const (
	ingress = "ingress"
	egress  = "egress"
)

// Rules are the content of the enforcer's table.
func Rules(verdicts []Verdict, s Switches) []knftables.Object {
	if !s.Enforce {
		return nil
	}
	objects := []knftables.Object{
		&knftables.Map{Name: ingress, Type: "ipv4_addr : verdict"},
		&knftables.Map{Name: egress, Type: "ipv4_addr : verdict"},
	}
	objects = append(objects, hook("forward", knftables.ForwardHook, egress, ingress)...)
	// A pod that sends to the node's own address is not forwarded.
	objects = append(objects, hook("input", knftables.InputHook, egress)...)
	if !s.NodeTraffic {
		objects = append(objects, hook("output", knftables.OutputHook, ingress)...)
	}
	for i, v := range verdicts {
		objects = append(objects, judge(egress, i, v.Pod, v.Egress)...)
		objects = append(objects, judge(ingress, i, v.Pod, v.Ingress)...)
	}
	return objects
}

// hook is a chain where the kernel asks after it has translated the addresses of
// Services. Both maps have to let a packet pass: a chain returns for that.
func hook(name string, at knftables.BaseChainHook, maps ...string) []knftables.Object {
	objects := []knftables.Object{
		&knftables.Chain{
			Name: name, Type: knftables.PtrTo(knftables.FilterType),
			Hook: new(at), Priority: knftables.PtrTo(knftables.FilterPriority),
		},
		&knftables.Rule{Chain: name, Rule: "ct state established,related accept"},
	}
	for _, m := range maps {
		objects = append(objects, &knftables.Rule{Chain: name, Rule: address(m, false) + " vmap @" + m})
	}
	return objects
}

// address is which address of a packet a direction is about: that of the pod
// itself, or of its peer.
func address(direction string, peer bool) string {
	if (direction == ingress) != peer {
		return "ip daddr"
	}
	return "ip saddr"
}

// judge is the chain of one pod in one direction.
func judge(direction string, number int, pod Pod, allowed []Allowance) []knftables.Object {
	if allowed == nil {
		return nil
	}
	chain := fmt.Sprintf("%s-%d", direction, number)
	objects := []knftables.Object{
		&knftables.Chain{Name: chain, Comment: new(comment(pod))},
		&knftables.Element{Map: direction, Key: []string{pod.Address.String()}, Value: []string{"jump " + chain}},
		// Nothing keeps a pod from itself, by its Service for instance.
		&knftables.Rule{Chain: chain, Rule: address(direction, true) + " " + pod.Address.String() + " return"},
	}
	for _, a := range allowed {
		objects = append(objects, &knftables.Rule{Chain: chain, Rule: a.rule(direction)})
	}
	return append(objects, &knftables.Rule{Chain: chain, Rule: "drop"})
}

// comment names a pod, as far as the kernel takes it.
func comment(pod Pod) string {
	const longest = 127
	name := pod.Namespace + "/" + pod.Name
	return name[:min(len(name), longest)]
}

func (a Allowance) rule(direction string) string {
	var parts []string
	if len(a.Peers) > 0 {
		parts = append(parts, address(direction, true), set(a.Peers))
	}
	if len(a.Except) > 0 {
		parts = append(parts, address(direction, true), "!=", set(a.Except))
	}
	if a.Protocol != "" {
		parts = append(parts, a.port())
	}
	return strings.Join(append(parts, "return"), " ")
}

func (a Allowance) port() string {
	name := strings.ToLower(string(a.Protocol))
	switch {
	case a.First == 0:
		return "meta l4proto " + name
	case a.First == a.Last:
		return fmt.Sprintf("%s dport %d", name, a.First)
	default:
		return fmt.Sprintf("%s dport %d-%d", name, a.First, a.Last)
	}
}

// set is an anonymous set, of prefixes that do not overlap: nft refuses others.
func set(prefixes []netip.Prefix) string {
	sorted := slices.Clone(prefixes)
	// Wider ones go first, so that what they contain is left out.
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		if a.Bits() != b.Bits() {
			return a.Bits() - b.Bits()
		}
		return a.Addr().Compare(b.Addr())
	})
	var texts []string
	var kept []netip.Prefix
	for _, p := range sorted {
		if slices.ContainsFunc(kept, p.Overlaps) {
			continue
		}
		kept = append(kept, p)
		text := p.String()
		if p.IsSingleIP() {
			text = p.Addr().String()
		}
		texts = append(texts, text)
	}
	return "{ " + strings.Join(texts, ", ") + " }"
}

// NamedPorts are the ports of all containers that run beside one another.
func NamedPorts(spec *corev1.PodSpec) []corev1.ContainerPort {
	var ports []corev1.ContainerPort
	for _, c := range spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			ports = append(ports, c.Ports...)
		}
	}
	for _, c := range spec.Containers {
		ports = append(ports, c.Ports...)
	}
	return ports
}
