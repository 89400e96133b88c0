// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policy has what all admission policies and webhooks of labguard have in common: their labels, their owner, where the API server reaches
// labguard, how text becomes a literal of the expression language, and which parts go together.
//
// It must not know any rule: those are in the packages gate, injection and access, each beside the reason for it.
package policy
