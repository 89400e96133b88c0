// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authentication says what the API server makes of a token, by the API server's own code: it reads an AuthenticationConfiguration (KEP-3331) as
// kube-apiserver does, and turns the claims of a signed token into a user. No server runs for it.
//
// Production code must not import this package.
package authentication
