// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package injection has the tests of the admission policies that internal/desired/injection builds, against a real API server with real controllers.
// Tenants are people with the ClusterRole edit; labguard is played by its account. No labguard runs.
//
// Every test has a namespace of its own, and its own copies of the policies that act on that namespace only, so that the tests run side by side. There
// is nothing here but tests.
package injection
