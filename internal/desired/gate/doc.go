// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gate builds what stands between a new image and the cluster: the webhook configurations of the rollout gate, the
// policy that heals labguard's annotations and the policy that guards recovery mode. Everything is a value: the same Config
// gives the same objects, byte for byte.
//
// The package must not talk to a cluster, read a clock or decide about an image: posture decides, the webhooks ask it. What is
// decided here is only *whether* a write is asked about, in CEL, so that the answer is the same while labguard is down.
package gate
