// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// judgeProof asks for a report and for probes of the last hour of every pod, address and closed port.
func judgeProof(seen *SidecarObservation, now time.Time) (Verdict, bool) {
	unproven, oldest, vantages := Proof(seen.Pods, seen.ClosedPorts, now)
	if found, missing := judgeEvidence(seen, unproven, now); missing {
		return found, true
	}
	found := verdict(metav1.ConditionTrue, v1alpha1.ReasonMutualTLS, "the declared ports are reached through mutual TLS alone, from other pods and from outside of the node; probes of the last hour show it")
	if len(seen.ClosedPorts) == 0 {
		found.Message = "the pods have no declared port, and reach their upstreams through mutual TLS"
	}
	short := "mutual TLS holds"
	if late, half := renewalLate(seen, now); late {
		found.Reason, found.Message = v1alpha1.ReasonRenewalLate, "mutual TLS holds, and the renewal of the certificate is more than 12 hours late: look at cert-manager"
		if half {
			found.Message = "mutual TLS holds, and half of the time is gone in which the certificate was to be renewed: look at cert-manager now"
		}
		short = found.Message
	} else if len(seen.ClosedPorts) > 0 && !slices.Contains(vantages, false) {
		found.Reason = v1alpha1.ReasonSingleVantage
		found.Message = "the declared ports are reached through mutual TLS alone; all probes of the last hour were made on the node of the pod itself"
	}
	if len(seen.CutOff) > 0 {
		found = verdict(found.Answer, found.Reason, short+"; clients are cut off: %s", seen.CutOff)
	}
	if !oldest.IsZero() {
		found.NextChange = ProofEnds(oldest, now)
	}
	return found, true
}

// judgeEvidence says which evidence is missing, if any is. unproven are the pods that no probe speaks of.
func judgeEvidence(seen *SidecarObservation, unproven []string, now time.Time) (Verdict, bool) {
	var behind, unapplied []string
	for i := range seen.Pods {
		said := &seen.Pods[i].Facts
		switch {
		case said.Report.ConfigurationError != "":
			behind = append(behind, seen.Pods[i].Name)
		case seen.Configuration != "" && !said.ReportedAt.IsZero() && said.Report.Configuration != seen.Configuration:
			unapplied = append(unapplied, seen.Pods[i].Name)
		}
	}
	silent := silence(seen.Pods, ProofLasts-1, now)
	missing := func(sentence string, lists ...[]string) (Verdict, bool) {
		return verdict(metav1.ConditionUnknown, v1alpha1.ReasonNoRecentProof, sentence, lists...), true
	}
	switch {
	case len(seen.Pods) == 0:
		return missing("no pod runs, so nothing can be shown")
	case len(behind) > 0:
		return missing("the airlock of pod %s does not use its present configuration, so nothing shows whom it lets in: look at its log", behind)
	case len(unapplied) > 0:
		return missing("the airlock of pod %s has not said yet that it uses the configuration of stage Strict", unapplied)
	case len(silent) > 0:
		return missing("nothing shows that the ports are closed: %s", silent)
	case len(unproven) > 0:
		return missing("no probe of the last hour shows that plaintext is closed at pod %s", unproven)
	default:
		return Verdict{}, false
	}
}

// ProofStep is how exactly is told when something was proven: a proof is renewed all the time, and what is told of it changes with each step at most.
const ProofStep = 15 * time.Minute

// ProofEnds is when a proof ends whose oldest probe was made at an instant: up to a step before it does, and never before now.
func ProofEnds(oldest, now time.Time) time.Time {
	ends := oldest.Truncate(ProofStep).Add(ProofLasts)
	if !ends.After(now) {
		ends = ends.Add(ProofStep)
	}
	return ends
}

// Proof says of which pods no probe of the last hour shows that every closed port is closed at every address, beside one that was let through. oldest is when
// the oldest probe was made on which the proof rests, and vantages say of each whether it was made on the pod's own node.
func Proof(pods []AirlockPod, closed []int32, now time.Time) (unproven []string, oldest time.Time, vantages []bool) {
	for i := range pods {
		for _, address := range pods[i].Addresses {
			for _, port := range closed {
				at := slices.IndexFunc(pods[i].Facts.Probes, func(probe Probe) bool {
					return probe.Address == address && probe.Port == port && !probe.Reached && probe.Control && now.Sub(probe.At) < ProofLasts
				})
				if at < 0 {
					unproven = append(unproven, pods[i].Name)
					continue
				}
				probe := pods[i].Facts.Probes[at]
				oldest, vantages = Earliest(oldest, probe.At), append(vantages, probe.SameNode)
			}
		}
		if len(pods[i].Addresses) == 0 && len(closed) > 0 {
			unproven = append(unproven, pods[i].Name)
		}
	}
	return unproven, oldest, vantages
}

// Vantage names from where the probes were made.
func Vantage(pods []AirlockPod) string {
	var from []string
	for i := range pods {
		for _, probe := range pods[i].Facts.Probes {
			if probe.Vantage != "" {
				from = append(from, probe.Vantage)
			}
		}
	}
	return strings.TrimSpace(cut(List(from), 256))
}
