// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// maxHandshakes is how many upstreams a status has room for: the latest.
const maxHandshakes = 64

// Handshakes are when pods have last reached each upstream over mutual TLS: what their airlocks say now, and what a status has kept of pods that are gone and of
// upstreams that stay. A status is not written for each connection: what it has stands until another handshake is a ProofStep later.
func Handshakes(pods []AirlockPod, before []v1alpha1.TransitUpstreamStatus, stays func(name string) bool, now time.Time) []v1alpha1.TransitUpstreamStatus {
	latest, kept := map[string]time.Time{}, map[string]time.Time{}
	for _, one := range before {
		if stays(one.Name) && one.LastHandshake != nil {
			latest[one.Name], kept[one.Name] = one.LastHandshake.Time, one.LastHandshake.Time
		}
	}
	for i := range pods {
		for _, upstream := range pods[i].Facts.Report.Upstreams {
			at := upstream.LastHandshake
			// What lies ahead is no evidence: the clock of a pod, or whoever has taken it over, says so.
			if at == nil || at.After(now) || !stays(upstream.Name) || !latest[upstream.Name].Before(*at) {
				continue
			}
			if at.Sub(kept[upstream.Name]) >= ProofStep {
				latest[upstream.Name] = *at
			}
		}
	}
	var told []v1alpha1.TransitUpstreamStatus
	for name, at := range latest {
		second := metav1.NewTime(at.UTC().Truncate(time.Second))
		told = append(told, v1alpha1.TransitUpstreamStatus{Name: name, LastHandshake: &second})
	}
	slices.SortFunc(told, func(a, b v1alpha1.TransitUpstreamStatus) int {
		return cmp.Or(b.LastHandshake.Compare(a.LastHandshake.Time), cmp.Compare(a.Name, b.Name))
	})
	told = told[:min(len(told), maxHandshakes)]
	slices.SortFunc(told, func(a, b v1alpha1.TransitUpstreamStatus) int { return cmp.Compare(a.Name, b.Name) })
	return told
}
