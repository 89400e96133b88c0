// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tally counts what airlock does: for the report (by port and upstream) and for Prometheus. Labels come from closed sets: half, reason, and the names
// of ports and upstreams in the configuration; never a peer or an address.
package tally
