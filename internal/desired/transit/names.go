// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package transit

import (
	corev1 "k8s.io/api/core/v1"

	"golang.org/x/net/publicsuffix"
)

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
