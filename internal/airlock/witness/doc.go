// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package witness sees who talks to the ports of the application, from inside of the pod and without any privilege. Containers of a pod share its
// network, so /proc/net/tcp and tcp6 list the sockets of all of them.
//
// A table that is read now and then misses a connection that is shorter. Two more sources are for those. The kernel tells anybody who subscribes
// (NETLINK_SOCK_DIAG, groups INET_TCP_DESTROY and INET6_TCP_DESTROY; what `ss --events` reads) of each TCP socket of this network that ends, with both
// addresses. And "Tcp: PassiveOpens" of /proc/net/snmp counts each connection that anybody here has accepted. Watcher balances that counter against
// the connections it knows; what is left is Unattributed: connections that it cannot name.
//
// What airlock itself accepts, Accepted tells. What can be named beside that, with the subscription: every connection to a port that was listening at the
// poll before or after it, such as the probes of a kubelet, a scan, or the application that talks to itself. An ordinary pod stays at 0. Not named: a
// connection to a listener that came and went between two polls, and those of a burst that overran the buffer of the subscription.
//
// Without the subscription (a kernel without inet_diag, a sandbox): a connection that a poll saw, one that left a TIME_WAIT row here because the side in
// this pod closed first (connections within the pod always do), and those that airlock opens to the application, which Dialed tells. A tcpSocket or grpc
// probe then leaves nothing and is counted as unattributed. The number is meant to err on one side alone: too high, not too low.
//
// Connections within the pod are not reported: they never leave it. A client that speaks through the address of the node (a NodePort with source
// translation) is not to be told from the kubelet on ports that the kubelet probes.
package witness
