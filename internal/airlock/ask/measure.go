// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"time"

	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture"
)

// silentAfter is how long after its last report an airlock is silent.
const silentAfter = 2 * time.Minute

// measure counts airlocks by state, and says how old the oldest report is.
func (a *Asker) measure() {
	now := a.config.Clock.Now()
	counts := map[string]int{metrics.AirlockReporting: 0, metrics.AirlockSilent: 0, metrics.AirlockNoIdentity: 0, metrics.AirlockNoTrust: 0}
	var oldest time.Time
	a.lock.Lock()
	for _, pods := range a.pods {
		for _, one := range pods {
			counts[a.stateOf(one.facts, now)]++
			if !one.facts.ReportedAt.IsZero() {
				oldest = posture.Earliest(oldest, one.facts.ReportedAt)
			}
		}
	}
	a.lock.Unlock()
	for state, count := range counts {
		metrics.Airlocks.WithLabelValues(state).Set(float64(count))
	}
	if oldest.IsZero() {
		metrics.OldestAirlockReport.Reset()
		return
	}
	metrics.OldestAirlockReport.WithLabelValues().Set(float64(oldest.UnixMilli()) / 1000)
}

func (a *Asker) stateOf(facts posture.AirlockFacts, now time.Time) string {
	switch {
	case now.Sub(facts.ReportedAt) > silentAfter:
		return metrics.AirlockSilent
	case facts.Report.Identity == nil:
		return metrics.AirlockNoIdentity
	case len(facts.Report.Bundles[a.config.TrustDomain]) == 0:
		return metrics.AirlockNoTrust
	default:
		return metrics.AirlockReporting
	}
}
