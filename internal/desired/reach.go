// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"slices"

	"github.com/labguard/labguard/api/v1alpha1"
)

// AgreedPorts are the declared TCP ports of server that client may reach, in order: what the network policies of both sides open is what airlock
// lets in and stands for.
func AgreedPorts(client, server *v1alpha1.LabWorkload) []int32 {
	if !exists(client) || !exists(server) {
		return nil
	}
	agreed := agree(client, server)
	var ports []int32
	for _, port := range declaredPorts(server) {
		if agreed.has(tcpPort(port.Port)) {
			ports = append(ports, port.Port)
		}
	}
	slices.Sort(ports)
	return ports
}

// Sidecar is the requirement of a LabWorkload whose provider is Sidecar, nil for every other one.
func Sidecar(lw *v1alpha1.LabWorkload) *v1alpha1.InTransitSpec {
	if !exists(lw) || lw.Spec.Encryption == nil || lw.Spec.Encryption.InTransit == nil || lw.Spec.Encryption.InTransit.Provider != v1alpha1.TransitProviderSidecar {
		return nil
	}
	return lw.Spec.Encryption.InTransit
}
