// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package transit builds what labguard wants to exist for one LabWorkload with provider Sidecar: the profile of its airlock, the document that airlock
// reads, and the companion Services.
//
// Everything is a value: the same facts give the same objects, byte for byte. What was allocated once is taken from the profile before and never changes
// while it exists, since running pods know it. What cannot be as the spec says comes back in words for the person who wrote the spec.
package transit
