// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/hex"
	"slices"
	"time"

	"github.com/labguard/labguard/internal/airlock/live"
	"github.com/labguard/labguard/internal/airlock/material"
	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/airlock/tally"
	"github.com/labguard/labguard/internal/airlock/trust"
)

const (
	// maxErrors and maxText keep the report below its limit.
	maxErrors = 64
	maxText   = 512
)

// Seen is what the sockets of the pod show.
type Seen interface {
	Ports() []report.Port
	Unattributed() int64
}

// Sources are what a report is made of.
type Sources struct {
	Build        string
	Started      time.Time
	Store        *material.Store
	Table        *live.Table
	Tally        *tally.Tally
	Seen         Seen
	ListenErrors func() []string
}

// Report makes the report of an instant.
func (s *Sources) Report(now time.Time) report.Report {
	snapshot := s.Store.Current()
	told := report.Report{
		Now: now, Started: s.Started, Build: s.Build,
		Configuration: snapshot.Digest, ConfigurationError: cut(snapshot.ConfigurationError), IdentityError: cut(snapshot.IdentityError),
		Bundles: roots(snapshot.Anchors.Bundles), Authorities: roots(snapshot.Anchors.Authorities),
	}
	told.Connections, told.ConnectionsLeftOut = named(s.Table.Report())
	told.Identity = identity(snapshot, now)
	for _, err := range s.ListenErrors() {
		if len(told.ListenErrors) < maxErrors {
			told.ListenErrors = append(told.ListenErrors, cut(err))
		}
	}
	seen := s.Seen.Ports()
	told.Unattributed = s.Seen.Unattributed()
	if snapshot.Configuration == nil {
		return told
	}
	for _, port := range snapshot.Configuration.Ports {
		one := report.Port{Port: port.Port}
		if i := slices.IndexFunc(seen, func(p report.Port) bool { return p.Port == port.Port }); i >= 0 {
			one = seen[i]
		}
		counted := s.Tally.Port(port.Name)
		one.Secure, one.Refused = counted.Secure, counted.Refused
		told.Ports = append(told.Ports, one)
	}
	letIn := s.Table.LetIn()
	for _, upstream := range snapshot.Configuration.Upstreams {
		counted := s.Tally.Upstream(upstream.Name)
		one := report.Upstream{
			Name: upstream.Name, Secure: counted.Secure, Plaintext: counted.Plaintext, Failed: counted.Failed, LastError: counted.LastError,
		}
		if !counted.LastPlaintext.IsZero() {
			one.LastPlaintext = &counted.LastPlaintext
		}
		if latest := later(counted.LastHandshake, letIn[upstream.Name]); !latest.IsZero() {
			one.LastHandshake = &latest
		}
		told.Upstreams = append(told.Upstreams, one)
	}
	return told
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// named are the connections that there is room for, and how many are left out. One for each root comes first: a root must not leave because those that stand on it were
// left out.
func named(all []report.Connections) (kept []report.Connections, leftOut int) {
	if len(all) <= report.MaxConnections {
		return all, 0
	}
	seen := map[string]bool{}
	var others []report.Connections
	for _, one := range all {
		if seen[one.Root] {
			others = append(others, one)
			continue
		}
		seen[one.Root] = true
		kept = append(kept, one)
	}
	kept = append(kept, others...)[:report.MaxConnections]
	return kept, len(all) - len(kept)
}

func identity(snapshot *material.Snapshot, now time.Time) *report.Identity {
	if snapshot.Identity == nil {
		return nil
	}
	leaf := snapshot.Identity.Leaf()
	return &report.Identity{
		ID: snapshot.Identity.ID, Serial: hex.EncodeToString(leaf.SerialNumber.Bytes()), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		Root: snapshot.Identity.Root(snapshot.Anchors.Bundles[snapshot.Anchors.Domain], now),
	}
}

func roots(bundles map[string]*trust.Bundle) map[string][]string {
	told := map[string][]string{}
	for name, bundle := range bundles {
		told[name] = bundle.Roots()
	}
	return told
}

func cut(text string) string { return text[:min(len(text), maxText)] }
