// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"slices"

	"github.com/labguard/labguard/api/v1alpha1"
)

// The requests that labguard's webhooks ask about; docs/access.md has them. The audit log speaks of verbs of HTTP and RBAC, and not of operations of
// admission: a CONNECT is a get, a create or whatever method went through the proxy.
var (
	// ways lead into a pod, by whatever verb.
	ways = map[string][]string{
		"pods":     {"exec", "attach", "portforward", "proxy"},
		"services": {"proxy"},
	}
	// changed are the kinds whose objects are what runs, what leads to it, or who may change it.
	changed = map[string][]string{
		"":                  {"pods", "replicationcontrollers", "services", "endpoints"},
		"apps":              {"deployments", "statefulsets", "daemonsets", "replicasets"},
		"batch":             {"jobs", "cronjobs"},
		"discovery.k8s.io":  {"endpointslices"},
		"networking.k8s.io": {"networkpolicies"},
		"argoproj.io":       {"rollouts"},

		"rbac.authorization.k8s.io": {"roles", "rolebindings"},
	}
	writes = []string{"create", "update", "patch", "delete", "deletecollection"}
)

// covered says whether labguard's webhooks are asked about such a request.
func covered(verb string, object reference) bool {
	if object.Subresource == "" {
		return slices.Contains(writes, verb) &&
			(object.APIGroup == v1alpha1.GroupVersion.Group || slices.Contains(changed[object.APIGroup], object.Resource))
	}
	if object.APIGroup != "" {
		return false
	}
	if slices.Contains(ways[object.Resource], object.Subresource) {
		return true
	}
	switch object.Resource + "/" + object.Subresource {
	case "pods/ephemeralcontainers":
		return verb == "update" || verb == "patch"
	case "serviceaccounts/token":
		return verb == "create"
	}
	return false
}
