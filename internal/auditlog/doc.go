// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package auditlog finds uses of break glass in the audit log of an API server, which has them also where labguard was down and saw nothing.
//
// It reads lines, each an Event of audit.k8s.io/v1, from whoever opens the files. What it reads is bounded; a line that is none is reported, so that a
// list that may lack something never looks whole. It must not talk to a cluster.
package auditlog
