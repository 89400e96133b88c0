// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

const (
	// Lines that may be written at once for one half, kind and reason, and how many become free in a second.
	refusalBurst, refusalRate = 10, 1
	endBurst, endRate         = 200, 50
	// shortRoot is how much of a fingerprint tells roots apart for a reader.
	shortRoot = 16
	// maxBuckets bounds the memory of the limits. Half and reason are closed sets, so that it is never reached.
	maxBuckets = 512
)

// Entry is a connection.
type Entry struct {
	// Half is server, client or admin; Name the port or the upstream; Kind secure, plaintext or passed.
	Half, Name, Kind string
	// Peer is who it was. Of a refused one it is what it says of itself.
	Peer string
	// Source is where it came from, Root the fingerprint of the root that vouched for the peer.
	Source netip.AddrPort
	Root   string
	// Reason is one word.
	Reason string
	// Received are the bytes from the client, Sent those to it; Duration is how long it lived.
	Received, Sent int64
	Duration       time.Duration
}

// Journal writes entries.
type Journal struct {
	log     *slog.Logger
	clock   clock.PassiveClock
	mutex   sync.Mutex
	buckets map[string]*bucket
}

// bucket is what is left to write of one sort of lines.
type bucket struct {
	tokens     float64
	filled     time.Time
	suppressed int64
}

// New makes a journal.
func New(log *slog.Logger, clock clock.PassiveClock) *Journal {
	return &Journal{log: log, clock: clock, buckets: map[string]*bucket{}}
}

// Refused writes that a connection was refused.
func (j *Journal) Refused(e Entry) {
	j.write("connection refused", "refused/"+e.Half+"/"+e.Reason, refusalBurst, refusalRate, e)
}

// Ended writes that a connection is over.
func (j *Journal) Ended(e Entry) {
	j.write("connection ended", "ended/"+e.Half+"/"+e.Reason, endBurst, endRate, e)
}

func (j *Journal) write(message, sort string, burst, rate float64, e Entry) {
	suppressed, may := j.take(sort, burst, rate)
	if !may {
		return
	}
	attributes := []slog.Attr{slog.String("half", e.Half), slog.String("name", e.Name), slog.String("reason", e.Reason)}
	if e.Source.IsValid() {
		attributes = append(attributes, slog.String("source", e.Source.String()))
	}
	for _, text := range []struct{ key, value string }{{"kind", e.Kind}, {"peer", e.Peer}, {"root", e.Root[:min(len(e.Root), shortRoot)]}} {
		if text.value != "" {
			attributes = append(attributes, slog.String(text.key, text.value))
		}
	}
	if e.Duration > 0 {
		attributes = append(attributes, slog.Int64("received", e.Received), slog.Int64("sent", e.Sent), slog.Float64("seconds", e.Duration.Seconds()))
	}
	if suppressed > 0 {
		attributes = append(attributes, slog.Int64("suppressed", suppressed))
	}
	j.log.LogAttrs(context.Background(), slog.LevelInfo, message, attributes...)
}

// take takes a token. It says how many lines were left out since the last one that was written.
func (j *Journal) take(sort string, burst, rate float64) (int64, bool) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	now := j.clock.Now()
	one, found := j.buckets[sort]
	if !found {
		if len(j.buckets) >= maxBuckets {
			return 0, false
		}
		one = &bucket{tokens: burst, filled: now}
		j.buckets[sort] = one
	}
	one.tokens = min(burst, one.tokens+rate*max(now.Sub(one.filled).Seconds(), 0))
	one.filled = now
	if one.tokens < 1 {
		one.suppressed++
		return 0, false
	}
	suppressed := one.suppressed
	one.tokens--
	one.suppressed = 0
	return suppressed, true
}
