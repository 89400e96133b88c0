// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture"
)

// A bundle or a namespace that is gone has no series: an alert about it would never end.
func TestSeriesOfTrustGoWithWhatTheyCount(t *testing.T) {
	now := time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)
	due, end := metav1.NewTime(now.Add(-24*time.Hour)), metav1.NewTime(now.Add(10*24*time.Hour))
	late := certmanagerv1.Certificate{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis"}}
	late.Status.RenewalTime, late.Status.NotAfter = &due, &end
	r := &Reconciler{}
	r.measure(&scope{now: now, bundles: []bundle{{name: "labguard-trust-lab.example", source: posture.TrustSource{Kind: posture.OwnTrust}}}, certificates: []certmanagerv1.Certificate{late}})
	gauges := map[string]*prometheus.GaugeVec{
		"leaving": metrics.TrustRootsLeaving, "pods": metrics.TrustBundlePods, "renewals": metrics.LateRenewals,
	}
	for name, gauge := range gauges {
		if testutil.CollectAndCount(gauge) == 0 {
			t.Errorf("%s: there is no series to begin with", name)
		}
	}
	r.measure(&scope{now: now})
	for name, gauge := range gauges {
		if left := testutil.CollectAndCount(gauge); left != 0 {
			t.Errorf("%s: %d series are left", name, left)
		}
	}
}
