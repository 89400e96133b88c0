// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package transit

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
)

const (
	// firstPort is the first port that a sidecar gets.
	firstPort = 15100
	maxPort   = 65535
	// maxPorts and maxAddresses are how many allocations a profile can hold.
	maxPorts, maxAddresses = 128, 512
)

// firstAddress is the first loopback address that stands for an upstream. All of 127.0.0.0/8 is loopback, and nobody else uses this part.
var firstAddress = netip.AddrFrom4([4]byte{127, 0, 64, 1})

// allocatePorts gives each declared port a port of the sidecar, the one that it had before if there is one. What was allocated stays while there is room.
func allocatePorts(facts Facts) []v1alpha1.AllocatedPort {
	had := map[int32]int32{}
	if facts.Previous != nil {
		for _, port := range facts.Previous.Spec.Ports {
			had[port.Port] = port.SidecarPort
		}
	} else if status := facts.Workload.Status.Transit; status != nil {
		had = fromStatus(facts.Workload, status)
	}
	taken := served(facts)
	for _, port := range []int32{config.RedirectPort, config.HealthPort, config.AdminPort} {
		taken[port] = true
	}
	for _, port := range had {
		taken[port] = true
	}
	var allocated []v1alpha1.AllocatedPort
	next := int32(firstPort)
	for _, port := range declared(facts.Workload) {
		own, known := had[port.Port]
		// An application that declares the port of its sidecar gets it: airlock could not have it anyway.
		if !known || slices.ContainsFunc(declared(facts.Workload), func(other v1alpha1.TransitPort) bool { return other.Port == own }) {
			for taken[next] && next < maxPort {
				next++
			}
			own, taken[next] = next, true
		}
		delete(had, port.Port)
		allocated = append(allocated, v1alpha1.AllocatedPort{Port: port.Port, SidecarPort: own})
	}
	for port, own := range had {
		allocated = append(allocated, v1alpha1.AllocatedPort{Port: port, SidecarPort: own})
	}
	declaredFirst := len(declared(facts.Workload))
	slices.SortFunc(allocated[declaredFirst:], byPort)
	allocated = allocated[:min(len(allocated), maxPorts)]
	slices.SortFunc(allocated, byPort)
	return allocated
}

func byPort(a, b v1alpha1.AllocatedPort) int { return cmp.Compare(a.Port, b.Port) }

// fromStatus are the allocations that the status tells of, for a profile that somebody has deleted.
func fromStatus(lw *v1alpha1.LabWorkload, status *v1alpha1.TransitStatus) map[int32]int32 {
	had := map[int32]int32{}
	for _, port := range declared(lw) {
		for _, reported := range status.Ports {
			if reported.Name == port.Name {
				had[port.Port] = reported.SidecarPort
			}
		}
	}
	return had
}

// served are the ports that the pods serve themselves, as far as anybody says.
func served(facts Facts) map[int32]bool {
	ports := map[int32]bool{}
	for _, port := range declared(facts.Workload) {
		ports[port.Port] = true
	}
	for _, pod := range facts.Pods {
		for _, port := range pod.Ports {
			ports[port.ContainerPort] = true
		}
	}
	return ports
}

func declared(lw *v1alpha1.LabWorkload) []v1alpha1.TransitPort {
	if lw.Spec.Encryption == nil || lw.Spec.Encryption.InTransit == nil {
		return nil
	}
	ports := slices.Clone(lw.Spec.Encryption.InTransit.Ports)
	slices.SortFunc(ports, func(a, b v1alpha1.TransitPort) int { return cmp.Compare(a.Port, b.Port) })
	return ports
}

// allocateAddresses gives each upstream Service a loopback address, the one that it had before if there is one. Earlier ones stay while a pod may know them.
func allocateAddresses(facts Facts, wanted []service) []v1alpha1.AllocatedAddress {
	byName := map[string]v1alpha1.AllocatedAddress{}
	taken := map[string]bool{}
	if facts.Previous != nil {
		for _, address := range facts.Previous.Spec.Upstreams {
			if mayKnow(facts, address.IP) || slices.ContainsFunc(wanted, func(s service) bool { return s.key() == address.Name }) {
				byName[address.Name], taken[address.IP] = address, true
			}
		}
	}
	next := firstAddress
	for _, upstream := range wanted {
		address, known := byName[upstream.key()]
		if !known {
			if len(byName) >= maxAddresses {
				continue
			}
			for taken[next.String()] || next.As4()[3] == 0 || next.As4()[3] == 255 {
				next = next.Next()
			}
			address = v1alpha1.AllocatedAddress{Name: upstream.key(), IP: next.String()}
			taken[address.IP] = true
		}
		address.LabWorkload = upstream.server.Name
		byName[address.Name] = address
	}
	var all []v1alpha1.AllocatedAddress
	for _, address := range byName {
		all = append(all, address)
	}
	slices.SortFunc(all, func(a, b v1alpha1.AllocatedAddress) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// mayKnow says whether a running pod may have names for a loopback address: its revision has, or nobody knows its revision.
func mayKnow(facts Facts, ip string) bool {
	for _, pod := range facts.Pods {
		if !pod.Injected {
			continue
		}
		revision := RevisionOf(facts.Previous, pod.Revision)
		if revision == nil || len(revision.Redirect) > 0 || slices.ContainsFunc(revision.HostAliases, func(alias v1alpha1.AirlockHostAlias) bool { return alias.IP == ip }) {
			return true
		}
	}
	return false
}

// RevisionOf is the revision of a profile with a hash, nil if the profile does not know it any more.
func RevisionOf(profile *v1alpha1.AirlockProfile, hash string) *v1alpha1.AirlockRevision {
	if profile == nil || hash == "" {
		return nil
	}
	if profile.Spec.Current.Hash == hash {
		return &profile.Spec.Current
	}
	for i := range profile.Spec.Known {
		if profile.Spec.Known[i].Hash == hash {
			return &profile.Spec.Known[i]
		}
	}
	return nil
}
