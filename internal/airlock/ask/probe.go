// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture"
)

const (
	// probeEvery is how often one port of one address is tried at most: applications of laboratories take connections that say nothing amiss.
	probeEvery = 10 * time.Minute
	// probeWithin bounds one try: a policy that drops packets says nothing at all.
	probeWithin = 2 * time.Second
	// controlFor is how old an answer of the same address may be that is the control of a try.
	controlFor = time.Minute
	// maxAddresses and maxProbes bound what one pod costs.
	maxAddresses, maxProbes = 4, 128
)

// dueProbes are the tries that are due: one for each address and closed port.
func (a *Asker) dueProbes(target posture.AirlockTarget, known []posture.Probe) []posture.Probe {
	now := a.config.Clock.Now()
	var due []posture.Probe
	for _, address := range target.Addresses[:min(len(target.Addresses), maxAddresses)] {
		for _, port := range target.ClosedPorts {
			i := slices.IndexFunc(known, func(probe posture.Probe) bool { return probe.Address == address && probe.Port == port })
			if (i < 0 || now.Sub(known[i].At) >= probeEvery) && len(due) < maxProbes {
				due = append(due, posture.Probe{Address: address, Port: port})
			}
		}
	}
	return due
}

// listening leaves out tries of ports of which airlock does not say that the application listens there: that such a port is not reached proves nothing.
func listening(due []posture.Probe, said report.Report) []posture.Probe {
	return slices.DeleteFunc(due, func(probe posture.Probe) bool {
		return !slices.ContainsFunc(said.Ports, func(port report.Port) bool { return port.Port == int(probe.Port) && port.Listening != "" })
	})
}

// try makes the tries that are due and puts them in the place of earlier ones. Those of addresses that the pod no longer has are forgotten.
func (a *Asker) try(
	ctx context.Context, target posture.AirlockTarget, known, due []posture.Probe, answered map[string]time.Time,
) []posture.Probe {
	results := slices.DeleteFunc(slices.Clone(known), func(probe posture.Probe) bool {
		again := slices.ContainsFunc(due, func(other posture.Probe) bool { return other.Address == probe.Address && other.Port == probe.Port })
		return again || !slices.Contains(target.Addresses, probe.Address) || !slices.Contains(target.ClosedPorts, probe.Port)
	})
	for _, probe := range due {
		if a.refuses(probe.Address) != "" {
			continue
		}
		reached, tried := a.reach(ctx, probe.Address, probe.Port)
		probe.Reached, probe.At = reached, a.config.Clock.Now()
		at, controlled := answered[probe.Address]
		probe.Control = controlled && tried && probe.At.Sub(at) <= controlFor
		probe.Vantage = a.config.Vantage
		probe.SameNode = a.config.Vantage != "" && a.config.Vantage == target.Node
		if ctx.Err() != nil {
			return results
		}
		metrics.AirlockProbes.WithLabelValues(resultOf(probe)).Inc()
		results = append(results, probe)
	}
	return results
}

// reach opens a connection, sends nothing and closes it. It was not tried where labguard's own side failed.
func (a *Asker) reach(ctx context.Context, address string, port int32) (reached, tried bool) {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	connection, err := a.config.Dial(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(int(port))))
	if err != nil {
		return false, !slices.ContainsFunc(ownFailures, func(own error) bool { return errors.Is(err, own) })
	}
	_ = connection.Close()
	return true, true
}

// ownFailures are those for which nothing has left this process, so that nothing on the way has stopped it. EPERM is what rules of its own pod say.
var ownFailures = []error{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL, syscall.EPERM, syscall.EACCES, context.Canceled,
}

func resultOf(probe posture.Probe) string {
	switch {
	case probe.Reached:
		return metrics.ProbeReached
	case probe.Control:
		return metrics.ProbeStopped
	default:
		return metrics.ProbeUncontrolled
	}
}
