// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// Cluster is what every LabWorkload of a cluster shares. Gather it anew each time: none of it is fixed for the life of a cluster.
type Cluster struct {
	// DNS is where the pods resolve names.
	DNS DNS
	// KubernetesAPI is where the Kubernetes API is served.
	KubernetesAPI KubernetesAPI
	// TrustDomain is the SPIFFE trust domain of the cluster, such as lab.example.
	TrustDomain string
	// ClusterDomain is the DNS domain of Services, such as cluster.local. Empty: not known, and no name is built with it.
	ClusterDomain string
}

// DNS is where the pods resolve names. Policies act before or after the translation of Service addresses, depending on the network
// plugin, so all of the addresses count.
type DNS struct {
	// Namespace and Selector choose the DNS pods: the namespace and the selector of the DNS Service. An empty selector chooses nothing.
	Namespace string
	Selector  map[string]string
	// TargetPorts are the target ports of the DNS Service, numbers or names. Port 53 is allowed in any case; each over UDP and TCP.
	TargetPorts []intstr.IntOrString
	// ClusterIPs are the addresses of the DNS Service. What is no address, such as None, is left out.
	ClusterIPs []string
	// NodeLocal are the address blocks of a DNS cache on the nodes, such as 169.254.20.10/32; a plain address is taken as a block of one.
	NodeLocal []string
}

// KubernetesAPI is where the Kubernetes API is served.
type KubernetesAPI struct {
	// ClusterIPs are the addresses of the Service kubernetes in the namespace default, which listens on 443.
	ClusterIPs []string
	// Endpoints are the addresses behind it.
	Endpoints []AddressPort
}

// AddressPort is one endpoint: an IP address and a TCP port.
type AddressPort struct {
	Address string
	Port    int32
}

// block turns an address block or an address into a block in canonical form: 10.1.2.3 becomes 10.1.2.3/32. It is false for anything else.
func block(text string) (string, bool) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix.Masked().String(), true
	}
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" {
		return "", false
	}
	address = address.Unmap()
	return netip.PrefixFrom(address, address.BitLen()).String(), true
}

// blocks is block for a list; what is no address is left out. The result is sorted and has no duplicates.
func blocks(texts []string) []string {
	var found []string
	for _, text := range texts {
		if cidr, ok := block(text); ok {
			found = append(found, cidr)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
