// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// A Cluster is all that the decision depends on.
type Cluster struct {
	// Namespaces are the labels of each namespace.
	Namespaces map[string]map[string]string
	// Pods are those that have a network of their own, and an address.
	Pods []Pod
	// Policies are all of them.
	Policies []*networkingv1.NetworkPolicy
}

// A Pod is what policies select and compare.
type Pod struct {
	Namespace, Name string
	Labels          map[string]string
	Address         netip.Addr
	// Ports are the named ones of its containers.
	Ports []corev1.ContainerPort
}

// A Verdict is what one pod may receive and send.
type Verdict struct {
	Pod Pod
	// Ingress and Egress are nil where nothing isolates the pod: all is allowed
	// then. One that is empty and not nil allows nothing.
	Ingress, Egress []Allowance
}

// An Allowance lets one kind of traffic pass.
type Allowance struct {
	// Peers are whom it is for, without those in Except. No Peers is everybody.
	Peers, Except []netip.Prefix
	// Protocol is empty for every protocol, those without ports as well.
	Protocol corev1.Protocol
	// First and Last are the range of ports, 0 for all of the protocol.
	First, Last int32
}
