// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package desired builds the objects that labguard wants to exist for one LabWorkload: its NetworkPolicy and its Certificate.
// Everything is a value: the same facts, in whatever order, give the same object, byte for byte.
//
// The package must not talk to a cluster, read a clock or judge: whoever calls it gathers the facts and writes the result, posture
// says what holds. What cannot be written as the spec says comes back as Notes, in words for the person who wrote the spec.
package desired
