// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"cmp"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// World is what exists. The order of lists does not matter.
type World struct {
	// Pods that have not ended. Those of other namespaces matter to OpenedWider only.
	Pods []Pod
	// Namespaces are the labels of namespaces by name. The API server sets kubernetes.io/metadata.name on each.
	Namespaces map[string]map[string]string
	// Policies are those of the namespace that is asked about; others do no harm.
	Policies []networkingv1.NetworkPolicy
}

// Pod is what policies depend on of a pod.
type Pod struct {
	Namespace, Name string
	Labels          map[string]string
	// Annotations need to hold prometheus.io/scrape and prometheus.io/port only, for LosesPath.
	Annotations map[string]string
	// IPs are its addresses, none if it has not started.
	IPs []netip.Addr
	// HostNetwork: the pod is in its node's network. No policy applies to it, and no selector means it as a peer.
	HostNetwork bool
	// Ports are those of the containers and of the init containers that keep running.
	Ports []Port
}

// Port is a container port.
type Port struct {
	// Name is empty if the port has none.
	Name string
	// Protocol is TCP if empty.
	Protocol corev1.Protocol
	Number   int32
}

func (p *Pod) key() string {
	return p.Namespace + "/" + p.Name
}

// named resolves the name of a port as a policy and a Service do: by name and protocol.
func (p *Pod) named(name portName) (port, bool) {
	for _, candidate := range p.Ports {
		if candidate.Name == name.name && cmp.Or(candidate.Protocol, corev1.ProtocolTCP) == name.protocol {
			return portOf(candidate.Protocol, candidate.Number)
		}
	}
	return 0, false
}

// declared are the ports of the containers.
func (p *Pod) declared() set[port] {
	var found []port
	for _, candidate := range p.Ports {
		if number, ok := portOf(candidate.Protocol, candidate.Number); ok {
			found = append(found, number)
		}
	}
	return portSet(found...)
}

// inside says whether the pod has addresses and all of them are in the block.
func (p *Pod) inside(block addresses) bool {
	for _, ip := range p.IPs {
		if !block.has(ip.Unmap()) {
			return false
		}
	}
	return len(p.IPs) > 0
}
