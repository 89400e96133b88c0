// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture"
)

// Config is what an Asker needs.
type Config struct {
	Clock clock.WithTicker
	// Random is in [0, 1).
	Random func() float64
	// Identity is the certificate that labguard shows to airlocks.
	Identity func() (*tls.Certificate, error)
	// TrustDomain is the trust domain of the cluster, and Roots the PEM text of all roots that vouch for it now.
	TrustDomain string
	Roots       func() string
	// Vantage is from where is asked: the name of the node.
	Vantage string
	// Refused are address blocks that are not asked, such as those of the nodes.
	Refused []netip.Prefix
	// Dial opens connections; nil: a dialer without anything special.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Asker asks airlocks. Its zero value is of no use: see New.
type Asker struct {
	config Config
	wake   chan struct{}

	lock      sync.Mutex
	pods      map[types.NamespacedName]map[types.UID]*pod
	listeners []func(workload types.NamespacedName)
}

// pod is what is known of one pod. The lock of the Asker guards it.
type pod struct {
	workload types.NamespacedName
	target   posture.AirlockTarget
	facts    posture.AirlockFacts
	// since is when it was first to be asked, due when it is to be asked next, asking says that it is being asked, and again that it is to be asked once
	// more right after that, since what is wanted of it has changed meanwhile.
	since, due    time.Time
	asking, again bool
	failures      int
}

// New makes an Asker that asks nobody until it is started and has been told whom.
func New(config Config) *Asker {
	if config.Dial == nil {
		config.Dial = (&net.Dialer{}).DialContext
	}
	for _, result := range []string{metrics.ProbeReached, metrics.ProbeStopped, metrics.ProbeUncontrolled} {
		metrics.AirlockProbes.WithLabelValues(result) // so that the first one counts as an increase
	}
	return &Asker{config: config, wake: make(chan struct{}, 1), pods: map[types.NamespacedName]map[types.UID]*pod{}}
}

// Watch says which pods of a workload are asked from now on; none: nobody, and what was known of them is forgotten. It returns at once.
func (a *Asker) Watch(workload types.NamespacedName, targets []posture.AirlockTarget) {
	now := a.config.Clock.Now()
	a.lock.Lock()
	defer a.lock.Unlock()
	pods := map[types.UID]*pod{}
	urgent := false
	for _, target := range targets {
		target.Addresses, target.ClosedPorts = slices.Clone(target.Addresses), slices.Clone(target.ClosedPorts)
		one := a.pods[workload][target.UID]
		if one == nil {
			one = &pod{workload: workload, since: now, due: now}
			urgent = true
		}
		if !slices.Equal(one.target.Addresses, target.Addresses) || one.target.ID != target.ID {
			one.due, one.failures, one.again, urgent = now, 0, true, true
		}
		if !slices.Equal(one.target.ClosedPorts, target.ClosedPorts) {
			one.due, one.again, urgent = now, true, true
			one.facts.Probes = slices.DeleteFunc(slices.Clone(one.facts.Probes), func(probe posture.Probe) bool {
				return !slices.Contains(target.ClosedPorts, probe.Port)
			})
		}
		one.target = target
		pods[target.UID] = one
	}
	if len(pods) == 0 {
		delete(a.pods, workload)
	} else {
		a.pods[workload] = pods
	}
	if urgent {
		select {
		case a.wake <- struct{}{}:
		default: // it is awake already
		}
	}
}

// Facts are what is known of the pods of a workload that are watched.
func (a *Asker) Facts(workload types.NamespacedName) map[types.UID]posture.AirlockFacts {
	a.lock.Lock()
	defer a.lock.Unlock()
	facts := make(map[types.UID]posture.AirlockFacts, len(a.pods[workload]))
	for uid, one := range a.pods[workload] {
		facts[uid] = one.known()
	}
	return facts
}

// Everything is what is known of all pods that are watched.
func (a *Asker) Everything() map[types.UID]posture.AirlockFacts {
	a.lock.Lock()
	defer a.lock.Unlock()
	facts := map[types.UID]posture.AirlockFacts{}
	for _, pods := range a.pods {
		for uid, one := range pods {
			facts[uid] = one.known()
		}
	}
	return facts
}

func (p *pod) known() posture.AirlockFacts {
	facts := p.facts
	facts.AskedSince = p.since
	facts.Probes = slices.Clone(facts.Probes)
	return facts
}

// Notify registers a function that is told of workloads about which something has changed that a decision may depend on. It must return at once.
func (a *Asker) Notify(listener func(workload types.NamespacedName)) {
	a.lock.Lock()
	defer a.lock.Unlock()
	a.listeners = append(a.listeners, listener)
}

// NeedLeaderElection says that one replica asks.
func (a *Asker) NeedLeaderElection() bool { return true }
