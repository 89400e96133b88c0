// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package registry turns an image reference into facts (posture.ImageFacts): digest, platform and the dates that the image carries.
//
// It answers from memory and records and fetches in the background: nobody who asks waits longer than their own context, a silent registry lets
// only one of them wait, and one reference is fetched once whatever the number of askers. Each registry has a lane of its own in the queue and
// each host a token bucket. Every body is verified against its digest. Fetches are bounded in time, bytes,
// redirects and number. It never calls an address that the platform did not mean (loopback, link-local, metadata services), takes
// no proxy from the environment, because behind one it could not see the address, and never puts a secret into an answer.
//
// It must not judge: whether an image is too old is for package posture.
package registry
