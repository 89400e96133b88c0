// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/labguard/labguard/internal/posture"
)

const (
	cacheVersion = 1
	// maxCacheBytes and maxCacheEntries bound the file.
	maxCacheBytes   = 64 << 20
	maxCacheEntries = 20000
	// tagLasts is how long the digest of a tag is believed: as long as labguard itself believes it.
	tagLasts = time.Minute
)

// imageCache keeps what digests say beyond one run, as a digest never changes, and for a minute what a tag meant. It satisfies registry.Records.
type imageCache struct {
	// file is where it is kept; empty if it is not kept.
	file string

	lock    sync.Mutex
	kept    cachedImages
	used    map[string]bool
	changed bool
}

// cachedImages is the file.
type cachedImages struct {
	Version  int                        `json:"version"`
	Contents map[string]posture.Content `json:"contents"`
	Tags     map[string]cachedTag       `json:"tags"`
}

type cachedTag struct {
	Digest string    `json:"digest"`
	At     time.Time `json:"at"`
}

// unkept is a cache for one run.
func unkept() *imageCache { return (&imageCache{used: map[string]bool{}}).empty() }

// errOthersWrite is a cache in which others could write dates of images.
var errOthersWrite = errors.New("are neither read nor kept")

// openCache reads the cache of a directory. One that cannot be read is begun anew, and one that others can write is not used; the error says so.
func openCache(directory string) (*imageCache, error) {
	cache := &imageCache{file: filepath.Join(directory, "images.json"), used: map[string]bool{}}
	content, err := readOurs(directory, cache.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return cache.empty(), nil
	case errors.Is(err, errOthersWrite):
		return unkept(), fmt.Errorf("facts of earlier runs %w", err)
	case err != nil:
		return cache.empty(), fmt.Errorf("read the facts of earlier runs: %w", err)
	}
	if err := json.Unmarshal(content, &cache.kept); err != nil || cache.kept.Version != cacheVersion {
		return cache.empty(), fmt.Errorf("%s is not what this version of the plugin has written: it is written anew", cache.file)
	}
	for digest, content := range cache.kept.Contents {
		if content.Digest != digest {
			delete(cache.kept.Contents, digest)
		}
	}
	if cache.kept.Contents == nil || cache.kept.Tags == nil {
		return cache.empty(), nil
	}
	return cache, nil
}

// readOurs reads a file of a directory, if nobody else can have written it.
func readOurs(directory, file string) ([]byte, error) {
	about, err := os.Stat(directory)
	if err != nil {
		return nil, err
	}
	if err := ours(about); err != nil {
		return nil, fmt.Errorf("%w: directory %s: %w", errOthersWrite, directory, err)
	}
	opened, err := os.Open(file) //nolint:gosec // G304: it lies in the directory for caches
	if err != nil {
		return nil, err
	}
	defer func() { _ = opened.Close() }()
	if about, err = opened.Stat(); err != nil {
		return nil, err
	}
	if err := ours(about); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errOthersWrite, file, err)
	}
	return io.ReadAll(io.LimitReader(opened, maxCacheBytes))
}

func (c *imageCache) empty() *imageCache {
	c.kept = cachedImages{Version: cacheVersion, Contents: map[string]posture.Content{}, Tags: map[string]cachedTag{}}
	return c
}

// Content is what is known of a digest.
func (c *imageCache) Content(digest string) (posture.Content, bool) {
	c.lock.Lock()
	defer c.lock.Unlock()
	content, found := c.kept.Contents[digest]
	c.used[digest] = true
	return content, found
}

// OfConfig finds nothing: manifests name no configurations.
func (c *imageCache) OfConfig(string) (posture.Content, bool) { return posture.Content{}, false }

// SameContentSince is not kept: it is reported and decides nothing.
func (c *imageCache) SameContentSince(string, string) time.Time { return time.Time{} }

// Keep takes a content that was verified.
func (c *imageCache) Keep(content posture.Content) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.kept.Contents[content.Digest] = content
	c.used[content.Digest], c.changed = true, true
}

// facts are those of a reference, if they need no registry: its digest is written in it, or was looked up within the last minute.
func (c *imageCache) facts(query posture.ImageQuery, pinned string, now time.Time) (posture.ImageFacts, bool) {
	digest := pinned
	if digest == "" {
		c.lock.Lock()
		tag, found := c.kept.Tags[query.Reference]
		c.lock.Unlock()
		if age := now.Sub(tag.At); !found || age < 0 || age >= tagLasts {
			return posture.ImageFacts{}, false
		}
		digest = tag.Digest
	}
	facts, missing := posture.FactsOf(digest, query.Platform, c.Content)
	return facts, missing == ""
}

// keepTag notes what a tag means.
func (c *imageCache) keepTag(reference string, facts posture.ImageFacts) {
	if facts.Digest == "" || facts.Unknown != "" || facts.ResolvedAt.IsZero() {
		return
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	c.kept.Tags[reference] = cachedTag{Digest: facts.Digest, At: facts.ResolvedAt}
	c.changed = true
}

// save writes the file if there is anything new, as a whole, so that runs side by side do not spoil it.
func (c *imageCache) save(now time.Time) error {
	c.lock.Lock()
	defer c.lock.Unlock()
	if !c.changed || c.file == "" {
		return nil
	}
	for reference, tag := range c.kept.Tags {
		if now.Sub(tag.At) >= tagLasts {
			delete(c.kept.Tags, reference)
		}
	}
	for digest := range c.kept.Contents {
		if len(c.kept.Contents) > maxCacheEntries && !c.used[digest] {
			delete(c.kept.Contents, digest)
		}
	}
	content, err := json.Marshal(c.kept)
	if err != nil {
		return fmt.Errorf("encode the facts for the next run: %w", err)
	}
	directory := filepath.Dir(c.file)
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return fmt.Errorf("keep the facts for the next run: %w", err)
	}
	written, err := os.CreateTemp(directory, "images-*")
	if err != nil {
		return fmt.Errorf("keep the facts for the next run: %w", err)
	}
	_, err = written.Write(content)
	if err = errors.Join(err, written.Close()); err == nil {
		err = os.Rename(written.Name(), c.file)
	}
	if err != nil {
		_ = os.Remove(written.Name())
		return fmt.Errorf("keep the facts for the next run: %w", err)
	}
	return nil
}
