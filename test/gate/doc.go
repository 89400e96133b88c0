// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gate has the tests of the objects that internal/desired/gate builds, against a real API server with real controllers.
// Mostly the webhooks point at a dead port: what passes then needs no labguard, what is refused would have been asked about.
//
// Every test has a namespace of its own, and its own copies of the cluster-scoped objects that act on that namespace only, so
// that the tests run side by side. There is nothing here but tests.
package gate
