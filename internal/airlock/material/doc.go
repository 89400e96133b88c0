// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package material reads what is mounted into the pod: the configuration, the identity and the bundles. It gives them as one snapshot that never changes, and
// a new one whenever a file does.
//
// What cannot be read or used never replaces what works, but for roots that are gone: these are no longer trusted.
package material
