// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package transit

import (
	"net/netip"
	"slices"

	"golang.org/x/net/publicsuffix"
	corev1 "k8s.io/api/core/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// allocated holds all loopback addresses that stand for upstreams.
var allocated = netip.PrefixFrom(firstAddress, 18).Masked()

// hostNames are the names of a Service that lead to airlock: the bare one in its own namespace alone, and none that would hide something else, such as a public
// name (a Service "google" in a namespace "com") or one that the pods' own hostAliases have.
func hostNames(facts Facts, of *corev1.Service, notes *Notes) []string {
	var names []string
	if of.Namespace == facts.Workload.Namespace {
		names = append(names, of.Name)
	}
	names = append(names, of.Name+"."+of.Namespace, of.Name+"."+of.Namespace+".svc")
	if facts.Platform.ClusterDomain != "" {
		names = append(names, of.Name+"."+of.Namespace+".svc."+facts.Platform.ClusterDomain)
	}
	own := map[string]bool{}
	for _, pod := range facts.Pods {
		for _, name := range pod.HostNames {
			own[name] = true
		}
	}
	kept := names[:0]
	for _, name := range names {
		if own[name] || name == of.Name+"."+of.Namespace && isPublic(name) {
			notes.Names = append(notes.Names, name)
			continue
		}
		kept = append(kept, name)
	}
	return kept
}

// isPublic says whether a name lies below a domain of the public DNS.
func isPublic(name string) bool {
	_, managed := publicsuffix.PublicSuffix(name)
	return managed
}

// IsAllocated says whether an address of a pod's hostAliases is one that labguard has given.
func IsAllocated(ip string) bool {
	address, err := netip.ParseAddr(ip)
	return err == nil && address.Is4() && allocated.Contains(address)
}

// StandsFor says whether pods of a revision reach a port of a Service through airlock.
func StandsFor(profile *v1alpha1.AirlockProfile, revision *v1alpha1.AirlockRevision, of *corev1.Service, port int32) bool {
	if slices.Contains(revision.Redirect, join(of.Spec.ClusterIP, port)) {
		return true
	}
	for _, address := range profile.Spec.Upstreams {
		if address.Name == of.Namespace+"/"+of.Name {
			return slices.ContainsFunc(revision.HostAliases, func(alias v1alpha1.AirlockHostAlias) bool { return alias.IP == address.IP })
		}
	}
	return false
}

// NeedsRestart says whether pods of a revision lack what pods of the current one have: names of an upstream, a rule, or a trust bundle.
func NeedsRestart(revision, current *v1alpha1.AirlockRevision) bool {
	if revision == nil {
		return len(current.HostAliases)+len(current.Redirect) > 0
	}
	for _, alias := range current.HostAliases {
		at := slices.IndexFunc(revision.HostAliases, func(known v1alpha1.AirlockHostAlias) bool { return known.IP == alias.IP })
		if at < 0 || slices.ContainsFunc(alias.Hostnames, func(name string) bool { return !slices.Contains(revision.HostAliases[at].Hostnames, name) }) {
			return true
		}
	}
	lacksRule := slices.ContainsFunc(current.Redirect, func(rule string) bool { return !slices.Contains(revision.Redirect, rule) })
	return lacksRule || slices.ContainsFunc(current.Bundles, func(bundle v1alpha1.AirlockBundle) bool { return !slices.Contains(revision.Bundles, bundle) })
}

// Covers says whether address blocks contain one of some addresses.
func Covers(blocks []v1alpha1.CIDR, ips []netip.Addr) bool {
	for _, text := range blocks {
		block, err := netip.ParsePrefix(string(text))
		if err == nil && slices.ContainsFunc(ips, func(ip netip.Addr) bool { return block.Contains(ip.Unmap()) }) {
			return true
		}
	}
	return false
}
