// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
)

func TestNetworkIsolatedNamesTheWorstFirst(t *testing.T) {
	t.Parallel()
	// Each step takes away what the step before found worst.
	seen := NetworkObservation{
		Overlaps: []string{"lis-old"}, HostNetwork: []string{"lis-0"}, SourceAddressLost: []string{"lis-hl7"}, OpenedWider: []string{"allow-all"},
		NameTaken: []string{"labguard-lis"}, PeerPending: []string{"chemistry/gw"}, OtherEngines: []string{"CiliumNetworkPolicy"},
		Observing: true, Reached: []string{"lis-0:2575"}, Proven: true, ProofEnds: time.Unix(1_790_000_000, 0),
	}
	for _, step := range []struct {
		answer metav1.ConditionStatus
		reason string
		says   []string
		next   func()
	}{
		{metav1.ConditionFalse, v1alpha1.ReasonOverlap, []string{"lis-old", "disjoint"}, func() { seen.Overlaps = nil }},
		{metav1.ConditionFalse, v1alpha1.ReasonHostNetwork, []string{"lis-0", "remove hostNetwork"}, func() { seen.HostNetwork = nil }},
		{metav1.ConditionFalse, v1alpha1.ReasonAudit, []string{"no policy is written", "status.preview"}, func() { seen.Enforced = true }},
		{metav1.ConditionFalse, v1alpha1.ReasonObserving, []string{"stage: Permissive"}, func() { seen.Observing = false }},
		{metav1.ConditionFalse, v1alpha1.ReasonNameTaken, []string{"labguard-lis", "rename or delete"}, func() { seen.NameTaken = nil }},
		{metav1.ConditionFalse, v1alpha1.ReasonSourceAddressLost, []string{"lis-hl7", "externalTrafficPolicy: Local"}, func() { seen.SourceAddressLost = nil }},
		{metav1.ConditionFalse, v1alpha1.ReasonOpenedWider, []string{"allow-all", "network.accept"}, func() { seen.OpenedWider = nil }},
		{metav1.ConditionFalse, v1alpha1.ReasonPolicyIgnored, []string{"lis-0:2575", "does not obey"}, func() { seen.Reached = nil }},
		{metav1.ConditionFalse, v1alpha1.ReasonPeerPending, []string{"chemistry/gw", "both sides"}, func() { seen.PeerPending = nil }},
		{metav1.ConditionUnknown, v1alpha1.ReasonOtherPolicyEngine, []string{"CiliumNetworkPolicy"}, func() { seen.OtherEngines = nil }},
		{metav1.ConditionTrue, v1alpha1.ReasonIsolated, []string{"probes of the last hour"}, func() { seen.Proven = false }},
		{metav1.ConditionUnknown, v1alpha1.ReasonNotProven, []string{"nothing has shown yet"}, func() {}},
	} {
		got := JudgeNetwork(seen)
		if got.Status() != step.answer || got.Reason != step.reason {
			t.Errorf("got %s/%s, want %s/%s", got.Status(), got.Reason, step.answer, step.reason)
		}
		for _, words := range step.says {
			if !strings.Contains(got.Message, words) {
				t.Errorf("%s: %q does not say %q", step.reason, got.Message, words)
			}
		}
		step.next()
	}
}

func TestPropertyAPolicyAloneNeverProvesIsolation(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		got := JudgeNetwork(NetworkObservation{
			Enforced: rapid.Bool().Draw(t, "enforced"), Overlaps: someNames().Draw(t, "overlaps"), SourceAddressLost: someNames().Draw(t, "lost"),
			OpenedWider: someNames().Draw(t, "wider"), HostNetwork: someNames().Draw(t, "host"), PeerPending: someNames().Draw(t, "pending"),
			NameTaken: someNames().Draw(t, "taken"), OtherEngines: someNames().Draw(t, "engines"),
		})
		requireSound(t, got)
		if got.Status() == metav1.ConditionTrue || !got.NextChange.IsZero() {
			t.Fatalf("without a probe got %+v", got)
		}
	})
}

func TestTheZeroNetworkObservationIsNotIsolated(t *testing.T) {
	t.Parallel()
	if got := JudgeNetwork(NetworkObservation{}); got.Status() != metav1.ConditionFalse || got.Reason != v1alpha1.ReasonAudit {
		t.Errorf("got %+v, want False/Audit", got)
	}
}
