// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"slices"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Governed is the namespaces that LabWorkloads govern, sorted.
func Governed(workloads []v1alpha1.LabWorkload) []string {
	namespaces := make([]string, 0, len(workloads))
	for i := range workloads {
		namespaces = append(namespaces, workloads[i].Namespace)
	}
	slices.Sort(namespaces)
	return slices.Compact(namespaces)
}

// ClaimKeys is the keys in which claims arrive, sorted. A key that no provider uses any more is still read where another provider leaves it out, so the
// default ones always count.
func ClaimKeys(providers []v1alpha1.IdentityProvider) []string {
	keys := DefaultClaimKeys()
	for i := range providers {
		own := &providers[i].Spec.ClaimKeys
		for _, key := range []v1alpha1.ClaimKey{own.Issuer, own.Subject, own.Methods, own.Context, own.AuthTime} {
			if key != "" {
				keys = append(keys, string(key))
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
