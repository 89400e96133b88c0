// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"fmt"
	"slices"
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/report"
)

const (
	// DefaultObserveFor is spec.encryption.inTransit.observeFor where it is absent.
	DefaultObserveFor = 168 * time.Hour
	// silentAfter is how long a pod may say nothing before that keeps Strict from being entered.
	silentAfter = 15 * time.Minute
	// sameObservation is by how much a chatty peer has to be seen later before that is written down. It is little beside the least observeFor, a day.
	sameObservation = 10 * time.Minute
	// maxBlockers is how many blockers are listed before "and N more".
	maxBlockers = 10
)

// StageObservation is what the stage of one LabWorkload with provider Sidecar depends on.
type StageObservation struct {
	// Goal is what the spec asks for, InForce what is in force; empty: nothing yet.
	Goal, InForce v1alpha1.TransitStage
	// ObserveFor is how long no undeclared plaintext peer may have been seen, ObservedSince since when none was; zero: not yet.
	ObserveFor    time.Duration
	ObservedSince time.Time
	// Ports are how many ports are declared: without one there is nothing to observe.
	Ports int
	// NetworkEnforced says that the network policy is written: without it nothing closes a port in plaintext.
	NetworkEnforced bool
	// Pods are the live pods.
	Pods []AirlockPod
	// Clients says of declared clients in the cluster what keeps them from speaking mutual TLS.
	Clients []string
	// Wrong says what else has to be mended first, such as an issuer that is not allowed.
	Wrong []string
	// Acknowledged is how many connections of unknown origin a person accepts; nil: none.
	Acknowledged *int64
	// TrustDomain is that of the cluster.
	TrustDomain string
}

// AirlockPod is one live pod of the workload.
type AirlockPod struct {
	Name string
	// Injected says that it has airlock.
	Injected bool
	// Created is when it was made.
	Created time.Time
	// Addresses are all of its addresses.
	Addresses []string
	Facts     AirlockFacts
}

// StageDecision is which stage is in force from now on, and what keeps the next one from being entered.
type StageDecision struct {
	Stage         v1alpha1.TransitStage
	Blockers      []string
	ObservedSince time.Time
	// NextChange is when time alone enters Strict, zero if it does not.
	NextChange time.Time
}

// DecideStage decides the stage. Forward it goes step by step and only as far as nothing breaks; back it goes at once. Strict, once entered, stays until the spec
// goes back: a pod without airlock turns the condition, not the stage, since opening the ports again would be worse.
func DecideStage(seen StageObservation, now time.Time) StageDecision {
	decided := StageDecision{Stage: seen.Goal, ObservedSince: observedSince(&seen, now)}
	if decided.Stage == "" {
		decided.Stage = v1alpha1.TransitStagePermissive
	}
	if decided.Stage == v1alpha1.TransitStageObserve {
		decided.ObservedSince = time.Time{}
		return decided
	}
	if decided.Stage == v1alpha1.TransitStageStrict && seen.InForce == v1alpha1.TransitStageStrict {
		return decided
	}
	blockers := slices.Concat(distinct(seen.Wrong), podBlockers(&seen, now), distinct(seen.Clients))
	at := decided.ObservedSince.Add(observeFor(&seen))
	if seen.Ports > 0 && (decided.ObservedSince.IsZero() || now.Before(at)) {
		if len(blockers) == 0 && decided.Stage == v1alpha1.TransitStageStrict {
			decided.NextChange = at
		}
		blockers = append(blockers, fmt.Sprintf("no undeclared plaintext peer may have been seen for %s; status.transit.observedSince says since when", hours(observeFor(&seen))))
	}
	if decided.Stage == v1alpha1.TransitStageStrict && len(blockers) > 0 {
		decided.Stage = v1alpha1.TransitStagePermissive
	}
	decided.Blockers = boundedLines(blockers)
	return decided
}

func observeFor(seen *StageObservation) time.Duration {
	if seen.ObserveFor <= 0 {
		return DefaultObserveFor
	}
	return seen.ObserveFor
}

func hours(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return d.String()
}

// observedSince is since when every pod has airlock and has reported, and no undeclared plaintext peer was seen. What was known before counts on: a restart of labguard is no news.
func observedSince(seen *StageObservation, now time.Time) time.Time {
	var latest time.Time
	for i := range seen.Pods {
		pod := &seen.Pods[i]
		// What begins while a pod says nothing would count time in which nobody looked.
		if !pod.Injected || seen.ObservedSince.IsZero() && pod.Facts.ReportedAt.IsZero() {
			return time.Time{}
		}
		for _, port := range pod.Facts.Report.Ports {
			for _, peer := range port.Undeclared {
				if peer.LastSeen.After(latest) {
					latest = peer.LastSeen
				}
			}
		}
	}
	switch {
	case seen.ObservedSince.IsZero() && len(seen.Pods) == 0:
		return time.Time{}
	case seen.ObservedSince.IsZero():
		return now
	case latest.Sub(seen.ObservedSince) >= sameObservation:
		if latest.After(now) {
			return now // the clock of a node is ahead
		}
		return latest
	default:
		return seen.ObservedSince
	}
}

// podBlockers say what is wrong with the pods, by pod.
func podBlockers(seen *StageObservation, now time.Time) []string {
	var blockers []string
	if !seen.NetworkEnforced && seen.Ports > 0 {
		blockers = append(blockers, "network.enforcement is Audit, so nothing would close the ports in plaintext: set it to Enforce")
	}
	if len(seen.Pods) == 0 && seen.Ports > 0 && seen.ObservedSince.IsZero() {
		blockers = append(blockers, "no pod runs, so nobody has been seen")
	}
	blockers = append(blockers, silence(seen.Pods, silentAfter, now)...)
	recent := now.Add(-observeFor(seen))
	for i := range seen.Pods {
		pod := &seen.Pods[i]
		said := &pod.Facts.Report
		switch {
		case !pod.Injected:
			blockers = append(blockers, fmt.Sprintf("pod %s has no airlock: it gets it when it is replaced", plain(pod.Name)))
			continue
		case pod.isSilent(silentAfter, now):
			continue
		}
		if trouble := airlockTrouble(pod, seen.TrustDomain, now); trouble != "" {
			blockers = append(blockers, trouble)
		}
		blockers = append(blockers, strangers(said, recent)...)
	}
	if exceeds(unattributed(seen.Pods), seen.Acknowledged) {
		blockers = append(blockers, "connections were over before anybody saw who it was: look into them, then accept them with acknowledged.unattributedConnections")
	}
	slices.Sort(blockers)
	return slices.Compact(blockers)
}

// strangers are the undeclared plaintext peers that a report names since an instant.
func strangers(said *report.Report, since time.Time) []string {
	var found []string
	for _, port := range said.Ports {
		for _, peer := range port.Undeclared {
			if peer.LastSeen.After(since) {
				found = append(found, fmt.Sprintf("%s speaks plaintext to port %d: let it use mutual TLS, or declare it with an exception", plain(peer.Address), port.Port))
			}
		}
	}
	return found
}

// unattributed is how many connections of unknown origin all pods together have seen.
func unattributed(pods []AirlockPod) int64 {
	var sum int64
	for i := range pods {
		sum += pods[i].Facts.Report.Unattributed
	}
	return sum
}

// exceeds says whether a count is more than a person accepts; nil: none is.
func exceeds(count int64, accepted *int64) bool {
	return count > 0 && (accepted == nil || count > *accepted)
}

// airlockTrouble is why the airlock of a pod could not carry the connections alone, "" if it could.
func airlockTrouble(pod *AirlockPod, trustDomain string, now time.Time) string {
	said := &pod.Facts.Report
	switch {
	case said.Identity == nil:
		return fmt.Sprintf("the airlock of pod %s has no certificate", plain(pod.Name))
	case !now.Before(said.Identity.NotAfter):
		return fmt.Sprintf("the certificate of pod %s has expired", plain(pod.Name))
	case len(said.Bundles[trustDomain]) == 0:
		return fmt.Sprintf("the airlock of pod %s trusts nobody: it has no root of the trust domain", plain(pod.Name))
	case said.ConfigurationError != "":
		return fmt.Sprintf("the airlock of pod %s does not use its configuration: %s", plain(pod.Name), cut(plain(said.ConfigurationError), 120))
	case len(said.ListenErrors) > 0:
		return fmt.Sprintf("the airlock of pod %s cannot listen: %s", plain(pod.Name), cut(plain(said.ListenErrors[0]), 120))
	default:
		return ""
	}
}

// boundedLines cuts a list of lines, each to what a line of a status may have.
func boundedLines(lines []string) []string {
	const maxLine = 500
	if more := len(lines) - maxBlockers; more > 0 {
		lines = append(slices.Clone(lines[:maxBlockers]), fmt.Sprintf("and %d more", more))
	}
	for i := range lines {
		lines[i] = cut(lines[i], maxLine)
	}
	return lines
}
