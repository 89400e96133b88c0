// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policy translates NetworkPolicies into what each pod may receive and
// send, and that into rules of nftables. It decides and does nothing: no client,
// no clock, no command.
//
// It is for tests, on one node with IPv4. Policies judge the beginning of a flow:
// a flow that was allowed when it began goes on after a policy forbids it, as with
// many network plugins.
package policy
