// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package served knows which optional APIs the cluster serves at the moment (cert-manager, Argo Rollouts, network policies of CNIs), from the
// names of CustomResourceDefinitions alone. What comes later is taken up without a restart, and what is missing is no error.
package served
