// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command policyplugin is the last plugin of a node's network: it tells the policy
// enforcer of a new pod and returns when the rules know it. No program of the pod
// runs before that, as NetworkPolicy wants it.
package main
