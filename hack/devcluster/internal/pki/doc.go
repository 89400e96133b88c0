// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pki makes the keys, certificates and kubeconfigs of one cluster and
// keeps them as files. What is there and still valid is used again, so that a
// cluster that is started a second time trusts what it trusted before.
package pki
