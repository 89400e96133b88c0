// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

// The authorities of public registries and identity providers, for where the system has none: the image has no file but this program. They are
// those of Mozilla, as go.sum pins them. Where there are files of the system, such as a bundle that is mounted at /etc/ssl/certs, those count
// and these do not. Airlock has none of this: it trusts what its configuration names.
import _ "golang.org/x/crypto/x509roots/fallback"
