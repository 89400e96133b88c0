// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package redirect sends connections of the application to airlock by rules in the network of the pod, where a name that leads to airlock cannot: the
// application listens on the port that it also dials. Parse and the Rules that it gives are pure; Install writes them as nftables by netlink, which takes
// NET_ADMIN and no program; OriginalDestination is where airlock reads what a redirected connection was meant for.
//
// Table labguard (ip and ip6), chain output, hook output, type nat, priority -100:
//
//	oifname "lo" return
//	meta skuid 64000 return
//	ip daddr 10.96.1.2 tcp dport 2575 redirect to :15001
//	tcp dport 2575 redirect to :15001
//
// The first two leave alone what the pod says to itself, and what airlock opens.
package redirect
