// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package admission answers the rollout webhooks: it decodes the request, gathers what is known from caches, asks posture, and
// translates the answer.
//
// It opens no connection and writes nothing but the two annotations of the object at hand. It may wait, bounded, for facts that the
// registry adapter is fetching.
package admission
