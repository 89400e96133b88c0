// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	cryptorand "crypto/rand"
	"fmt"
	"math/rand/v2"

	"github.com/labguard/labguard/controllers/gate"
	"github.com/labguard/labguard/controllers/labworkload"
	"github.com/labguard/labguard/controllers/removal"
	"github.com/labguard/labguard/internal/desired"
)

// ownLabels are on labguard's own pods (config/manager).
var ownLabels = map[string]string{"app.kubernetes.io/name": "labguard"}

// sidecars is what the platform team says about provider Sidecar.
func (p *parts) sidecars() labworkload.Sidecars {
	return labworkload.Sidecars{
		Image: p.config.Airlock.Image, Bundles: p.config.bundles(), Roots: p.config.ownRoots(), Nodes: blocks(p.config.NodeAddresses),
		Labguard: desired.Operator{Namespace: p.options.namespace, Labels: ownLabels},
		Guards:   gate.Guards{Reader: p.manager.GetClient()}.Stand, Salt: cryptorand.Text(),
	}
}

// removal takes sidecars away that nobody asks for any more.
func (p *parts) removal() error {
	sidecars := &removal.Reconciler{Client: p.manager.GetClient(), Live: p.manager.GetAPIReader(), Clock: p.clock, Random: rand.Float64}
	if err := sidecars.SetupWithManager(p.manager); err != nil {
		return fmt.Errorf("set up the removal of sidecars: %w", err)
	}
	return nil
}
