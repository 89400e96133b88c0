// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package inventory reads from the caches what makes pods in a namespace and which pods there are, in the stripped form that decisions
// need, and says how the caches are to be stripped. It writes nothing.
package inventory
