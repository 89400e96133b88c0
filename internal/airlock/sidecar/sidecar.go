// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/labguard/labguard/internal/airlock/admin"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/inbound"
	"github.com/labguard/labguard/internal/airlock/journal"
	"github.com/labguard/labguard/internal/airlock/listening"
	"github.com/labguard/labguard/internal/airlock/live"
	"github.com/labguard/labguard/internal/airlock/material"
	"github.com/labguard/labguard/internal/airlock/outbound"
	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/airlock/tally"
)

// Sidecar is one airlock.
type Sidecar struct {
	options Options
	store   *material.Store
	table   *live.Table
	admin   *admin.Admin
	health  *http.Server
	sources *admin.Sources
	// One set of listeners for each way in, as each has its own errors.
	peers, upstreams, redirected, labguard *listening.Set
	tried                                  atomic.Bool
	// said is the latest problem that was logged, so that it is logged once.
	said string
}

// New makes a sidecar. Nothing is read or opened yet.
func New(options Options) *Sidecar {
	s := &Sidecar{options: options}
	counts, lines := tally.New(), journal.New(options.Log, options.Clock)
	s.store = material.NewStore(options.Directory, options.Clock)
	s.table = live.NewTable(options.Clock)
	server := inbound.New(s.store, s.table, counts, lines, options.Clock, options.Witness.Dialed)
	client := outbound.New(s.store, s.table, counts, lines, options.Clock, options.Destination)
	s.sources = &admin.Sources{
		Build: options.Build, Started: options.Clock.Now(), Store: s.store, Table: s.table, Tally: counts, Seen: options.Witness, ListenErrors: s.listenErrors,
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(counts, s.sources, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.admin = admin.New(s.store, counts, lines, options.Clock, s.Report, registry)
	s.health = admin.Health(s.tried.Load, func() bool { return s.store.Current().Configuration != nil })
	s.peers = s.set(server.Accept, nil)
	s.upstreams = s.set(client.Accept, s.blocked)
	s.redirected = s.set(client.AcceptRedirected, nil)
	s.labguard = s.set(s.admin.Accept, nil)
	s.store.OnChange(s.apply)
	return s
}

func (s *Sidecar) set(accept func(netip.AddrPort, *net.TCPConn), blocked func(netip.AddrPort) string) *listening.Set {
	return listening.NewSet(s.options.Clock, func(at netip.AddrPort, connection *net.TCPConn) {
		s.options.Witness.Accepted()
		accept(at, connection)
	}, blocked)
}

// blocked keeps airlock from an address whose port the application has on all addresses, or has lost to airlock a moment ago.
func (s *Sidecar) blocked(address netip.AddrPort) string {
	if s.options.Witness.WildcardListener(int(address.Port())) {
		return "the pod itself listens on this port of all addresses"
	}
	return ""
}

func (s *Sidecar) sets() []*listening.Set {
	return []*listening.Set{s.peers, s.upstreams, s.redirected, s.labguard}
}

func (s *Sidecar) listenErrors() []string {
	var all []string
	for _, set := range s.sets() {
		all = append(all, set.Errors()...)
	}
	return all
}

// Report is what airlock says of itself now.
func (s *Sidecar) Report() report.Report { return s.sources.Report(s.options.Clock.Now()) }

// apply takes a new snapshot. First those connections end that may not stay.
func (s *Sidecar) apply(snapshot *material.Snapshot) {
	s.table.Apply(snapshot)
	if problem := snapshot.ConfigurationError + "\n" + snapshot.IdentityError; problem != s.said {
		s.said = problem
		s.options.Log.Info("mounted files read", "configuration", snapshot.Digest, "configurationError", snapshot.ConfigurationError,
			"identityError", snapshot.IdentityError)
	}
	configuration := snapshot.Configuration
	if configuration == nil {
		return
	}
	s.options.Witness.SetConfiguration(configuration)
	var peers, upstreams, redirected []listening.Wanted
	for _, port := range configuration.Ports {
		peers = append(peers, listening.Wanted{Address: everywhere(port.ListenPort), Name: "port " + port.Name})
	}
	if configuration.ClientPath == config.Redirect && s.options.RedirectPort != 0 {
		for _, loopback := range []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()} {
			redirected = append(redirected, listening.Wanted{
				Address: netip.AddrPortFrom(loopback, uint16(s.options.RedirectPort)), Name: "redirected connections", //nolint:gosec // It is a port.
			})
		}
	} else {
		for _, upstream := range configuration.Upstreams {
			if at, err := netip.ParseAddrPort(upstream.Listen); err == nil {
				upstreams = append(upstreams, listening.Wanted{Address: at, Name: "upstream " + upstream.Name})
			}
		}
	}
	s.peers.Apply(peers)
	s.upstreams.Apply(upstreams)
	s.redirected.Apply(redirected)
}

func everywhere(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.Addr{}, uint16(port)) //nolint:gosec // The configuration is checked.
}

// Run runs until ctx ends, and then lets connections finish for at most the grace period. It returns an error if it cannot begin.
func (s *Sidecar) Run(ctx context.Context) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	defer parts.Wait()
	defer stop()
	if err := s.serveHealth(ctx, &parts); err != nil {
		return err
	}
	defer func() { _ = s.health.Close() }()
	defer func() { _ = s.admin.Close() }()
	parts.Go(func() {
		if err := s.admin.Serve(); err != nil {
			s.options.Log.Error("admin port ended", "error", err)
		}
	})
	parts.Go(func() {
		if err := s.options.Witness.Run(running); err != nil && running.Err() == nil {
			s.options.Log.Error("sockets of the pod are not seen", "error", err)
		}
	})
	if s.options.AdminPort != 0 {
		s.labguard.Apply([]listening.Wanted{{Address: everywhere(s.options.AdminPort), Name: "admin port"}})
	}
	s.store.Refresh()
	s.tried.Store(true)
	for _, set := range s.sets() {
		parts.Go(func() { set.Run(running) })
	}
	parts.Go(func() { s.table.Run(running) })
	following, unfollow := context.WithCancel(running)
	defer unfollow()
	parts.Go(func() { s.store.Run(following, s.options.Poll) })
	s.options.Log.Info("airlock runs", "build", s.options.Build)
	<-ctx.Done()
	s.drain(context.WithoutCancel(ctx))
	return nil
}

func (s *Sidecar) serveHealth(ctx context.Context, parts *sync.WaitGroup) error {
	if s.options.HealthPort == 0 {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf(":%d", s.options.HealthPort))
	if err != nil {
		return fmt.Errorf("listen for the kubelet: %w", err)
	}
	parts.Go(func() {
		bounded := admin.Bounded(told{Listener: listener, accepted: s.options.Witness.Accepted}, s.options.Clock)
		if err := s.health.Serve(bounded); !errors.Is(err, http.ErrServerClosed) {
			s.options.Log.Error("health port ended", "error", err)
		}
	})
	return nil
}

// drain closes the listeners and lets connections end in a quiet moment. Sidecars end after the application, so that mostly there is none.
func (s *Sidecar) drain(ctx context.Context) {
	for _, set := range s.sets() {
		set.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.Grace)
	defer cancel()
	if err := s.table.Drain(ctx); err != nil {
		s.options.Log.Info("connections are ended at the end of the grace period", "connections", s.table.Taken())
		s.table.AbortAll(live.Draining)
	}
}

// told is a listener that tells of each connection.
type told struct {
	net.Listener
	accepted func()
}

// Accept accepts a connection.
func (t told) Accept() (net.Conn, error) {
	connection, err := t.Listener.Accept()
	if err == nil {
		t.accepted()
	}
	return connection, err
}
