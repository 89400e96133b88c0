// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package trust keeps the bundles of roots that airlocks verify their peers with, and labguard's own certificate. Roots come from the platform team's
// configuration and from nowhere else; one that has left it stays published for as long as somebody stands on it (internal/posture decides).
//
// The ConfigMap labguard-trust in labguard's own namespace is the record of what is published. ClusterTrustBundles, and ConfigMaps in the namespaces of
// sidecars where the cluster serves none, are made from it, and what others write into them counts for nothing.
package trust
