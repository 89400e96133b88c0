// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/transit"
)

// A client that runs now and then, as a CronJob does, is cut off by Strict as well as one that always runs.
func TestAClientThatDoesNotRunNowKeepsStrictAway(t *testing.T) {
	sidecar := &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{Provider: v1alpha1.TransitProviderSidecar}}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "nightly"}}
	profile := func(change func(*v1alpha1.AirlockProfile)) *v1alpha1.AirlockProfile {
		made := &v1alpha1.AirlockProfile{Spec: v1alpha1.AirlockProfileSpec{
			LabWorkload: "nightly", Selector: selector, Upstreams: []v1alpha1.AllocatedAddress{{Name: "pathology/lis", IP: "127.0.64.1"}},
			Current: v1alpha1.AirlockRevision{HostAliases: []v1alpha1.AirlockHostAlias{{IP: "127.0.64.1"}}},
		}}
		change(made)
		return made
	}
	tests := map[string]struct {
		encryption *v1alpha1.EncryptionSpec
		profile    *v1alpha1.AirlockProfile
		says       string
	}{
		"it speaks no mutual TLS":    {says: "without mutual TLS"},
		"it has no sidecar yet":      {encryption: sidecar, says: "get no airlock"},
		"its sidecar leaves":         {encryption: sidecar, profile: profile(func(p *v1alpha1.AirlockProfile) { p.Spec.Selector = nil }), says: "get no airlock"},
		"it does not know this one":  {encryption: sidecar, profile: profile(func(p *v1alpha1.AirlockProfile) { p.Spec.Current.HostAliases = nil }), says: "does not reach"},
		"its next pod has all of it": {encryption: sidecar, profile: profile(func(*v1alpha1.AirlockProfile) {})},
		"the application speaks it":  {encryption: &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{Provider: v1alpha1.TransitProviderApplication}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := strictScope(t)
			s.workload.Spec.Encryption.InTransit.Ports[0].AllowFrom = []v1alpha1.IngressPeer{{LabWorkload: &v1alpha1.LabWorkloadReference{Name: "nightly"}}}
			nightly := v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "nightly"}}
			nightly.Spec.Selector, nightly.Spec.Encryption = *selector, test.encryption
			s.siblings = []v1alpha1.LabWorkload{*s.workload, nightly}
			s.sidecar.profiles = map[types.NamespacedName]*v1alpha1.AirlockProfile{}
			if test.profile != nil {
				s.sidecar.profiles[types.NamespacedName{Namespace: "pathology", Name: "nightly"}] = test.profile
			}
			s.sidecar.services = []corev1.Service{{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.20"}}}
			built := transit.Result{Companions: []transit.Companion{{Of: "lis", Ports: []transit.CompanionPort{{Port: 2575, Declared: 2575}}}}}
			lines := s.clientsInTheWay(built)
			if (len(lines) > 0) != (test.says != "") || !strings.Contains(strings.Join(lines, "\n"), test.says) {
				t.Errorf("%q, want %q", lines, test.says)
			}
		})
	}
}

// A client that no longer can, cuts itself off where the stage is Strict. The stage stays, and the condition of the server says so.
func TestAClientThatLeavesIsSaidAtStrict(t *testing.T) {
	plain := v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "engine"}}
	plain.Spec.Selector = metav1.LabelSelector{MatchLabels: map[string]string{"app": "engine"}}
	tests := map[string]struct {
		stage  v1alpha1.TransitStage
		client []v1alpha1.LabWorkload
		says   string
	}{
		"its sidecar is gone":         {v1alpha1.TransitStageStrict, []v1alpha1.LabWorkload{plain}, "LabWorkload pathology/engine is a client without mutual TLS: give it provider Sidecar"},
		"it is gone":                  {v1alpha1.TransitStageStrict, nil, "there is no LabWorkload pathology/engine, so its pods get no airlock"},
		"plaintext is open all along": {v1alpha1.TransitStagePermissive, nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := strictScope(t)
			s.sidecar.stage.Stage = test.stage
			s.workload.Spec.Encryption.InTransit.Ports[0].AllowFrom = []v1alpha1.IngressPeer{{LabWorkload: &v1alpha1.LabWorkloadReference{Name: "engine"}}}
			s.siblings = append([]v1alpha1.LabWorkload{*s.workload}, test.client...)
			if got := strings.Join(s.cutOff(), "; "); got != test.says {
				t.Errorf("says %q, want %q", got, test.says)
			}
		})
	}
}
