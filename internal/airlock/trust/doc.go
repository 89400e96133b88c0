// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package trust decides who a peer is and whether it may connect. It takes certificates, bundles, the configuration and the time, and returns who it is or
// one word for why not.
//
// It is pure: no file, no network, no clock. The trust domain that a certificate names chooses the bundle before a chain is built, so that no other
// authority can vouch for it. The same rules judge a handshake (Client, Server) and a connection that lives (Standing).
package trust
