// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// maxHandshakes is how many upstreams a status has room for: the first by their names, so that none takes the place of another all the time.
const maxHandshakes = 64

// Handshakes are when pods have last reached each upstream over mutual TLS: what their airlocks say now, and what a status has kept of pods that are gone.
// upstreams are the names that labguard has given them, sorted: of others nothing is believed, whatever a pod says. A status is not written for each
// connection: what it has stands until another handshake is a ProofStep later.
func Handshakes(pods []AirlockPod, before []v1alpha1.TransitUpstreamStatus, upstreams []string, now time.Time) []v1alpha1.TransitUpstreamStatus {
	kept, latest := map[string]time.Time{}, map[string]time.Time{}
	for _, one := range before {
		if one.LastHandshake != nil {
			kept[one.Name] = one.LastHandshake.Time
		}
	}
	for i := range pods {
		for _, upstream := range pods[i].Facts.Report.Upstreams {
			// What lies ahead is no evidence: the clock of a pod, or whoever has taken it over, says so.
			if at := upstream.LastHandshake; at != nil && !at.After(now) && latest[upstream.Name].Before(*at) {
				latest[upstream.Name] = *at
			}
		}
	}
	var told []v1alpha1.TransitUpstreamStatus
	for _, name := range slices.Compact(slices.Clone(upstreams[:min(len(upstreams), maxHandshakes)])) {
		at := kept[name]
		if latest[name].Sub(at) >= ProofStep {
			at = latest[name]
		}
		if !at.IsZero() {
			second := metav1.NewTime(at.UTC().Truncate(time.Second))
			told = append(told, v1alpha1.TransitUpstreamStatus{Name: name, LastHandshake: &second})
		}
	}
	return told
}
