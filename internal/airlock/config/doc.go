// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config is what labguard tells an airlock: one JSON document in the ConfigMap that is mounted into the pod. labguard writes it
// (internal/desired), airlock reads it anew whenever it changes.
//
// It has types, their limits and their check, and nothing else: no file, no network, no clock. It imports the standard library alone, so that the
// sidecar stays small. A document that the check refuses never replaces one that works.
package config
