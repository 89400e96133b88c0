// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pki makes certificate authorities, certificates and mounted volumes for tests. Keys are made for each test and never leave it. A volume is swapped
// as the kubelet does it: all files at once, by a link.
package pki
