// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package provider runs an OpenID Connect provider for tests: the library of a certified one, with storage of its own, behind TLS on loopback. People log
// in as they would in a browser, by the authorization code flow with PKCE, and each login says with which methods, in which class and how long ago it was,
// so that amr, acr and auth_time in a token are the provider's own word.
//
// A provider can be stopped and started again at the same address, its keys can be replaced, and a second one is another issuer.
//
// Production code must not import this package.
package provider
