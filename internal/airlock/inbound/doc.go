// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package inbound is the server half: it takes connections of peers, has them prove who they are, and carries what they say to the application on loopback.
//
// The application is dialled as soon as the handshake is done and before a byte was read, since with some protocols the server speaks first.
package inbound
