// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package outbound is the client half: it takes connections of the application to its upstreams and carries them over mutual TLS to the server that has the
// identity of the upstream. Plaintext goes out only where the configuration allows it and nothing listens for mutual TLS; that a handshake has failed is
// never a reason for it.
package outbound
