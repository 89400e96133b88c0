// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture"
)

// measure says how far bundles have come, which roots are leaving or expire, and which renewals are late.
func (r *Reconciler) measure(s *scope) {
	metrics.TrustRootsLeaving.Reset()
	metrics.TrustRootExpiry.Reset()
	metrics.TrustBundlePods.Reset()
	metrics.LateRenewals.Reset()
	for _, one := range s.bundles {
		metrics.TrustRootsLeaving.WithLabelValues(one.name).Set(float64(len(one.decision.Leaving)))
		if expiry := posture.FirstExpiry(one.source.Roots); !expiry.IsZero() {
			metrics.TrustRootExpiry.WithLabelValues(one.name).Set(float64(expiry.Unix()))
		}
		for _, state := range []posture.BundleState{posture.BundleCurrent, posture.BundleBehind, posture.BundleUnknown} {
			metrics.TrustBundlePods.WithLabelValues(one.name, string(state))
		}
		for i := range s.pods {
			state := posture.StateOfBundle(s.now, one.source, s.facts[s.pods[i].UID])
			metrics.TrustBundlePods.WithLabelValues(one.name, string(state)).Inc()
		}
	}
	for i := range s.certificates {
		status := &s.certificates[i].Status
		if late := posture.LatenessOf(s.now, instant(status.RenewalTime), instant(status.NotAfter)); late != posture.OnTime {
			metrics.LateRenewals.WithLabelValues(s.certificates[i].Namespace, string(late)).Inc()
		}
	}
}

func instant(at *metav1.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.Time
}
