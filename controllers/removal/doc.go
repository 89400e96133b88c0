// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package removal takes sidecars away. Where no LabWorkload asks for a sidecar any more, pods that start from now on get none, plaintext is open again, and
// everything that running pods live on stays until the last of them has gone; then the profile is deleted, and its children with it. That takes two minutes more, since
// an API server that has not heard of it yet may still give a pod the sidecar.
//
// It holds nothing up: there is no finalizer on anything, so that a namespace can be deleted while labguard is down.
package removal
