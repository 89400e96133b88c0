// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policy has what all admission policies of labguard have in common: their labels and owner, how text becomes a literal of the expression
// language, and which parts go together.
//
// It must not know any rule: those are in the packages gate and injection, each beside the reason for it.
package policy
