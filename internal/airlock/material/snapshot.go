// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package material

import (
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/trust"
)

// Snapshot is everything that was mounted at one time. Nobody changes it.
type Snapshot struct {
	// Configuration is nil until there was a good one. Digest is its SHA-256 in hexadecimal; ConfigurationError says why a newer one, or a newer bundle,
	// is not used.
	Configuration      *config.Configuration
	Digest             string
	ConfigurationError string
	// Identity is nil until there was one; IdentityError says why a newer one is not used, or what is wrong with it.
	Identity      *trust.Identity
	IdentityError string
	// Anchors are the roots.
	Anchors *trust.Anchors
}

// Empty is what there is before anything was read.
func Empty() *Snapshot { return &Snapshot{Anchors: &trust.Anchors{}} }

// Port finds the port of the application that airlock listens for on listenPort.
func (s *Snapshot) Port(listenPort int) (config.Port, bool) {
	if s.Configuration != nil {
		for _, port := range s.Configuration.Ports {
			if port.ListenPort == listenPort {
				return port, true
			}
		}
	}
	return config.Port{}, false
}

// Upstream finds an upstream by its name.
func (s *Snapshot) Upstream(name string) (config.Upstream, bool) {
	if s.Configuration != nil {
		for _, upstream := range s.Configuration.Upstreams {
			if upstream.Name == name {
				return upstream, true
			}
		}
	}
	return config.Upstream{}, false
}

// reserved are the trust domains that the configuration knows workloads of. An external authority may not vouch for them, also while their bundle is absent.
func reserved(configuration *config.Configuration) map[string]bool {
	domains := map[string]bool{}
	for _, upstream := range configuration.Upstreams {
		reserve(domains, upstream.ID)
	}
	for _, port := range configuration.Ports {
		for _, peer := range port.Peers {
			if peer.Authority == "" {
				reserve(domains, peer.ID)
				reserve(domains, peer.Pattern)
			}
		}
	}
	return domains
}

func reserve(domains map[string]bool, text string) {
	if id, err := config.ParsePattern(text); err == nil {
		domains[id.Domain] = true
	}
}
