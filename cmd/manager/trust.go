// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/labguard/labguard/controllers/served"
	"github.com/labguard/labguard/controllers/trust"
	"github.com/labguard/labguard/internal/airlock/ask"
	"github.com/labguard/labguard/internal/desired"
)

// nodeVariable has the name of the node that this process runs on: from there it asks.
const nodeVariable = "NODE_NAME"

// trust puts together what keeps bundles and what asks airlocks: each needs the other, as roots leave by what airlocks say.
func (p *parts) trust(kinds *served.Kinds) (*ask.Asker, error) {
	bundles := &trust.Reconciler{
		Client: p.manager.GetClient(), Live: p.manager.GetAPIReader(), Mapper: p.manager.GetRESTMapper(), Served: kinds, Clock: p.clock, Random: rand.Float64,
		Recorder: p.manager.GetEventRecorder("labguard"), Namespace: p.options.namespace,
		TrustDomain: p.config.TrustDomain, Sources: p.config.trustSources(), ClusterIssuer: p.config.clusterIssuer(),
	}
	identity := &ask.Identity{Directory: p.options.identityDir, ID: desired.OperatorID(p.config.TrustDomain), Clock: p.clock}
	asker := ask.New(ask.Config{
		Clock: p.clock, Random: rand.Float64, Identity: identity.Certificate, TrustDomain: p.config.TrustDomain, Roots: bundles.Roots,
		Vantage: os.Getenv(nodeVariable), Refused: p.config.NodeAddresses,
	})
	bundles.Reports = asker
	if bundles.ClusterIssuer == "" && len(p.config.ownRoots()) > 0 {
		ctrl.Log.WithName("trust").Info("issuers has no ClusterIssuer: labguard has no certificate of its own, and asks no airlock", "trustDomain", p.config.TrustDomain)
	}
	if err := bundles.SetupWithManager(p.manager, kinds, asker.Notify); err != nil {
		return nil, fmt.Errorf("set up the bundles: %w", err)
	}
	return asker, nil
}
