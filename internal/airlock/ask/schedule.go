// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/labguard/labguard/internal/posture"
)

const (
	// atOnce is how many pods are asked at the same time.
	atOnce = 16
	// every is how often a pod is asked that answers, and atMost the longest pause for one that does not.
	every, atMost = 30 * time.Second, 2 * time.Minute
	// youngFor is how long a pod is new, and youngEvery how often it is asked meanwhile while it does not answer.
	youngFor, youngEvery = 2 * time.Minute, 3 * time.Second
	// jitter is the part of a pause by which it varies.
	jitter = 0.2
	// turn is how often it is looked who is due.
	turn = time.Second
)

// Start asks until the context ends.
func (a *Asker) Start(ctx context.Context) error {
	slots := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	defer running.Wait()
	for {
		for _, one := range a.takeDue() {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			running.Go(func() {
				defer func() { <-slots }()
				a.visit(ctx, one)
			})
		}
		a.measure()
		timer := a.config.Clock.NewTimer(turn)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-a.wake:
			timer.Stop()
		case <-timer.C():
		}
	}
}

// takeDue are the pods that are to be asked now, the one that has waited longest first.
func (a *Asker) takeDue() []*pod {
	now := a.config.Clock.Now()
	a.lock.Lock()
	defer a.lock.Unlock()
	var due []*pod
	for _, pods := range a.pods {
		for _, one := range pods {
			if !one.asking && !one.due.After(now) {
				one.asking, one.again = true, false
				due = append(due, one)
			}
		}
	}
	slices.SortFunc(due, func(x, y *pod) int { return x.due.Compare(y.due) })
	return due
}

// visit asks one pod, tries its closed ports if that is due, and remembers what came of it.
func (a *Asker) visit(ctx context.Context, one *pod) {
	a.lock.Lock()
	target, was := one.target, one.known()
	a.lock.Unlock()
	facts := a.look(ctx, target, was)
	if ctx.Err() != nil {
		return // what failed has failed because the process ends
	}
	now := a.config.Clock.Now()
	a.lock.Lock()
	current := a.pods[one.workload][target.UID] == one && slices.Equal(one.target.Addresses, target.Addresses)
	one.asking = false
	if current {
		facts.Probes = slices.DeleteFunc(facts.Probes, func(probe posture.Probe) bool { return !slices.Contains(one.target.ClosedPorts, probe.Port) })
		one.facts = facts
		one.failures++
		if facts.Failure == "" {
			one.failures = 0
		}
		one.due = now.Add(a.pause(one, now))
		if one.again {
			one.due = now
		}
	}
	listeners := slices.Clone(a.listeners)
	a.lock.Unlock()
	if !current || !material(was, facts) {
		return
	}
	for _, listener := range listeners {
		listener(one.workload)
	}
}

func (a *Asker) pause(one *pod, now time.Time) time.Duration {
	pause := every
	switch {
	case one.failures == 0:
	case now.Sub(one.since) < youngFor:
		pause = youngEvery
	default:
		pause = min(every<<min(one.failures-1, 4), atMost)
	}
	return pause + time.Duration((a.config.Random()-0.5)*jitter*float64(pause))
}

// look asks a pod at its addresses. Where closed ports are to be tried, each of their addresses is asked: that is the control.
func (a *Asker) look(ctx context.Context, target posture.AirlockTarget, was posture.AirlockFacts) posture.AirlockFacts {
	facts := was
	probes := a.dueProbes(target, was.Probes)
	answered := map[string]time.Time{}
	facts.Failure = "it has no address"
	for i, address := range target.Addresses {
		needed := slices.ContainsFunc(probes, func(probe posture.Probe) bool { return probe.Address == address })
		if len(answered) > 0 && !needed || i >= maxAddresses {
			continue
		}
		said, err := a.fetch(ctx, address, target.ID)
		if err != nil {
			if len(answered) == 0 {
				facts.Failure = oneLine(err.Error())
			}
			continue
		}
		now := a.config.Clock.Now()
		answered[address] = now
		facts.Report, facts.ReportedAt, facts.Failure = said, now, ""
	}
	if len(answered) > 0 { // where nothing answers, what is not reached proves nothing
		facts.Probes = a.try(ctx, target, facts.Probes, listening(probes, facts.Report), answered)
	}
	return facts
}
