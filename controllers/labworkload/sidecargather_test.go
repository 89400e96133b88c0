// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
)

func TestPodsGetASidecarOnceItHasWhatItNeeds(t *testing.T) {
	document := func(owner string, data map[string]string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{UID: "profile", Name: owner, Controller: new(owner == "ours")}}}, Data: data}
	}
	whole := map[string]string{config.FileName: "{}"}
	tests := map[string]struct {
		selects, issued bool
		document        *corev1.ConfigMap
		want            bool
	}{
		"it has all":                            {false, true, document("ours", whole), true},
		"it has no certificate yet":             {false, false, document("ours", whole), false},
		"it has no document yet":                {false, true, nil, false},
		"the certificate is being renewed":      {true, false, document("ours", whole), true},
		"somebody has deleted the document":     {true, true, nil, true},
		"somebody has emptied it":               {true, true, document("ours", nil), true},
		"somebody else's document has its name": {true, true, document("theirs", whole), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := scopeOf(t)
			s.sidecar.profile = &v1alpha1.AirlockProfile{ObjectMeta: metav1.ObjectMeta{UID: "profile"}}
			if test.selects {
				s.sidecar.profile.Spec.Selector = &s.workload.Spec.Selector
			}
			s.sidecar.document, s.certificate.issued = test.document, test.issued
			if got := s.injectable(); got != test.want {
				t.Errorf("%t, want %t", got, test.want)
			}
		})
	}
}

// Who has ended, or is on the way out, says nothing any more, and keeps nothing away.
func TestPodsThatHaveEndedAreNotWaitedFor(t *testing.T) {
	made := func(name string, phase corev1.PodPhase) *corev1.Pod {
		one := pod(name, "lis:1", "", "")
		one.Status.Phase = phase
		return one
	}
	leaving := made("leaving", corev1.PodRunning)
	leaving.DeletionTimestamp, leaving.Finalizers = &metav1.Time{Time: today}, []string{"lab.example/hold"}
	s := scopeOf(t, made("running", corev1.PodRunning), made("pending", corev1.PodPending), made("done", corev1.PodSucceeded), made("failed", corev1.PodFailed), leaving)
	var names []string
	for _, one := range s.airlockPods() {
		names = append(names, one.Name)
	}
	if !slices.Equal(names, []string{"pending", "running"}) {
		t.Errorf("waits for %q, want pending and running", names)
	}
}
