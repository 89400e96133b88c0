// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package operator has tests only: the real manager, under its own ServiceAccount, on a real API server with the real controllers, cert-manager and
// a registry. Each test plays what a team, an administrator or an attacker does, and looks at what the cluster then has.
package operator
