// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package handshake does mutual TLS: it joins what package trust decides to what crypto/tls does. A handshake is judged by one snapshot, in
// VerifyConnection, which runs on every connection; there are no session tickets, so no connection stands on what an earlier one has shown.
package handshake
