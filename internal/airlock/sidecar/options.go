// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/outbound"
	"github.com/labguard/labguard/internal/airlock/report"
)

// Witness sees the sockets of the pod. It is told which ones are our own.
type Witness interface {
	Run(ctx context.Context) error
	SetConfiguration(*config.Configuration)
	// Accepted tells of a connection that we have accepted, Dialed of one that we have opened to the application.
	Accepted()
	Dialed(local, remote netip.AddrPort)
	// WildcardListener says whether a port is listened on at all addresses by somebody else.
	WildcardListener(port int) bool
	Ports() []report.Port
	Unattributed() int64
}

// Blind is a Witness that sees nothing, for where there is none.
type Blind struct{}

// Run waits for ctx.
func (Blind) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// SetConfiguration does nothing.
func (Blind) SetConfiguration(*config.Configuration) {}

// Accepted does nothing.
func (Blind) Accepted() {}

// Dialed does nothing.
func (Blind) Dialed(_, _ netip.AddrPort) {}

// WildcardListener is false.
func (Blind) WildcardListener(int) bool { return false }

// Ports is none.
func (Blind) Ports() []report.Port { return nil }

// Unattributed is 0.
func (Blind) Unattributed() int64 { return 0 }

// Options are what a sidecar is made of.
type Options struct {
	// Directory is where everything is mounted.
	Directory string
	// HealthPort, AdminPort and RedirectPort are those of package config; another airlock on the same machine needs others. 0: none.
	HealthPort, AdminPort, RedirectPort int
	// Poll is how often the mounted files are looked at, Grace how long connections get to finish when the pod ends.
	Poll, Grace time.Duration
	// Build is the version in the report.
	Build       string
	Clock       clock.WithTicker
	Log         *slog.Logger
	Witness     Witness
	Destination outbound.Destination
}

// Defaults are the options of a pod; Log, Witness and Destination are missing.
func Defaults() Options {
	const (
		poll  = 500 * time.Millisecond
		grace = 25 * time.Second
	)
	return Options{
		Directory: config.Directory, HealthPort: config.HealthPort, AdminPort: config.AdminPort, RedirectPort: config.RedirectPort,
		Poll: poll, Grace: grace, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler), Witness: Blind{},
	}
}
