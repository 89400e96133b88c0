// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package injection builds the admission policies that put airlock into pods and that keep it there: one that adds the sidecar, and guards that hold
// whatever labguard does. All of them run in the API server: nothing here needs labguard to be alive.
//
// The rules that compare with an AirlockProfile have it as their parameter and name the governed namespaces, so that they can refuse nothing
// elsewhere. The rules that protect a pod that runs, and the Secrets, have no parameter: they hold when the profile, or its kind, is gone.
//
// Everything is a value: the same Config gives the same objects, byte for byte. The package must not talk to a cluster or decide who gets airlock.
package injection
