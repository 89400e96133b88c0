// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hold keeps a root workload from rolling out what it declares, and gives back what that has replaced.
//
// It is pure: it takes an object as JSON and changes the copy that it holds. Which rollout is held, and when it is released, is decided by
// package posture. What was replaced stands in the marker annotation as a JSON merge patch of the spec (RFC 7386), so that everybody can undo a
// hold, also when labguard is gone for good.
package hold
