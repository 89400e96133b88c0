// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plan says of a namespace that runs what Enforce and Strict would cut and refuse, and writes the LabWorkloads that keep what is known to be needed.
//
// It is pure. Everything that it opens it has evidence for, and names it. What nobody knows it says: labguard sees connections only in pods with airlock,
// and an object that allows a connection, or is configured for it, is no proof that somebody connects. It writes nothing and enforces nothing.
package plan
