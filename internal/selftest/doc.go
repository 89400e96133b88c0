// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package selftest looks whether an installed labguard works: whether its kinds are served, the anchor of its gate is there, a replica leads, and the
// webhooks answer at their Service with a certificate of their authority. It reads and writes nothing. That API servers call the webhooks is proven for each
// LabWorkload by itself (status.enforcedSince).
package selftest
