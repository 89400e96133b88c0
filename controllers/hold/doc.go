// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hold releases rollouts that the gate has held, as soon as the same decision lets them in. One reconcile looks at one namespace.
//
// A release goes through admission like the hold: labguard takes its marker off, and its own webhook gives back in the same write what the hold had
// replaced, so that labguard never owns a field of a spec. Where no webhook listens (recovery, uninstall) it undoes the hold itself.
package hold
