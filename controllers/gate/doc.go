// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gate keeps the webhook configurations and the admission policies of the rollout gate, of the sidecar and about people as internal/desired builds
// them: for the namespaces that enforce, and that they leave with labguard. One anchor owns all of them.
package gate
