// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command benchairlock compares airlock with stunnel4 and haproxy as Debian has them, and with a plain copy of TCP.
//
// Each of them runs as two processes, one for a client and one for a server: load -> client side -> mutual TLS 1.3 -> server side -> application. All
// have the same certificates (ECDSA P-256) and no resumption. They take turns, in another order in each round, and the medians are printed.
package main
