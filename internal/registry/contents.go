// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
	"k8s.io/utils/lru"

	"github.com/labguard/labguard/internal/posture"
)

// keepAgain is how often a content that is in use is given to the records anew, so that one whose record was deleted, or could not be written,
// gets one again.
const keepAgain = 10 * time.Minute

// contents holds what is known of digests, in memory and, where there are any, in records. It never expires, as a digest never changes, and it is
// the same whoever asks. Nothing here does I/O.
type contents struct {
	memory *lru.Cache // digest -> *knownContent
	// configs finds the image of a configuration: digest of the configuration -> digest of the manifest.
	configs *lru.Cache
	// records may be nil.
	records Records
	clock   clock.PassiveClock
}

type knownContent struct {
	posture.Content
	// kept is when the records were last given it, in nanoseconds since 1970.
	kept atomic.Int64
}

func newContents(entries int, records Records, passive clock.PassiveClock) *contents {
	return &contents{memory: lru.New(entries), configs: lru.New(entries), records: records, clock: passive}
}

// get asks memory, then the records; recorded says that it was there.
func (c *contents) get(digest string) (content posture.Content, found, recorded bool) {
	value, _ := c.memory.Get(digest)
	if known, ok := value.(*knownContent); ok {
		c.keep(known)
		return known.Content, true, false
	}
	if c.records == nil {
		return posture.Content{}, false, false
	}
	content, found = c.records.Content(digest)
	if !found || content.Digest != digest {
		return posture.Content{}, false, false
	}
	c.remember(content)
	return content, true, true
}

// add takes a content that was verified.
func (c *contents) add(content posture.Content) {
	c.remember(content)
	if c.records != nil {
		c.records.Keep(content)
	}
}

func (c *contents) remember(content posture.Content) {
	known := &knownContent{Content: content}
	known.kept.Store(c.clock.Now().UnixNano())
	c.memory.Add(content.Digest, known)
	if content.ConfigDigest != "" {
		c.configs.Add(content.ConfigDigest, content.Digest)
	}
}

func (c *contents) keep(known *knownContent) {
	if c.records == nil {
		return
	}
	now, last := c.clock.Now().UnixNano(), known.kept.Load()
	if now-last >= int64(keepAgain) && known.kept.CompareAndSwap(last, now) {
		c.records.Keep(known.Content)
	}
}

// facts puts together what is known of a digest that a reference names, on a platform. missing is the digest that has to be fetched for that.
func (c *contents) facts(repository, digest string, platform posture.Platform) (facts posture.ImageFacts, missing string, recorded bool) {
	var outer, inner posture.Content
	facts, missing = posture.FactsOf(digest, platform, func(wanted string) (posture.Content, bool) {
		content, found, fromRecord := c.get(wanted)
		recorded = recorded || fromRecord
		if wanted == digest {
			outer = content
		}
		inner = content
		return content, found
	})
	if missing != "" || facts.Unknown != "" {
		return facts, missing, recorded
	}
	facts.ResolvedAt = outer.FirstSeen
	return c.withSameContent(facts, repository, inner.Layers), "", recorded
}

func (c *contents) withSameContent(facts posture.ImageFacts, repository, layers string) posture.ImageFacts {
	if c.records == nil || layers == "" {
		return facts
	}
	return posture.WithSameContent(facts, c.records.SameContentSince(repository, layers))
}

// ofConfig is what is known of the image with a configuration.
func (c *contents) ofConfig(configDigest string) (posture.Content, bool) {
	if digest, ok := c.configs.Get(configDigest); ok {
		if value, ok := c.memory.Get(digest); ok {
			if known, ok := value.(*knownContent); ok {
				return known.Content, true
			}
		}
	}
	if c.records == nil || configDigest == "" {
		return posture.Content{}, false
	}
	return c.records.OfConfig(configDigest)
}
