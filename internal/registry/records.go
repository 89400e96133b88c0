// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"time"

	"github.com/labguard/labguard/internal/posture"
)

// Records keep what digests say beyond this process, for every replica and across restarts. Every call answers at once from memory.
type Records interface {
	// Content is what is recorded of a digest.
	Content(digest string) (posture.Content, bool)
	// OfConfig is the recorded image whose configuration has this digest. Nodes report that digest for images that were loaded by hand.
	OfConfig(configDigest string) (posture.Content, bool)
	// SameContentSince is when an image with these layers was made, or first seen, in a repository; zero if none is recorded.
	SameContentSince(repository, layers string) time.Time
	// Keep has a verified content recorded in the background. It never blocks, and a content that is recorded already costs nothing.
	Keep(content posture.Content)
}
