// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/api/v1alpha1"
)

// TestNobodyTakesTheSidecarFromPodsThatHaveIt holds against a LabWorkload, or a pod that looks like one of a mesh, that comes later: with the sidecar
// would go what closes plaintext.
func TestNobodyTakesTheSidecarFromPodsThatHaveIt(t *testing.T) {
	at := func(name string, age time.Duration) *v1alpha1.LabWorkload {
		return &v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name, CreationTimestamp: metav1.NewTime(time.Unix(2_000_000_000, 0).Add(-age))}}
	}
	older, younger := at("older", time.Hour), at("younger", time.Minute)
	selecting := func(of ...*v1alpha1.LabWorkload) map[types.NamespacedName]*v1alpha1.AirlockProfile {
		profiles := map[types.NamespacedName]*v1alpha1.AirlockProfile{}
		for _, lw := range of {
			profiles[types.NamespacedName{Namespace: lw.Namespace, Name: lw.Name}] = &v1alpha1.AirlockProfile{Spec: v1alpha1.AirlockProfileSpec{Selector: &metav1.LabelSelector{}}}
		}
		return profiles
	}
	tests := map[string]struct {
		profiles map[types.NamespacedName]*v1alpha1.AirlockProfile
		older    bool
	}{
		"neither has the pods":     {older: true},
		"both have, for a moment":  {profiles: selecting(older, younger), older: true},
		"the older one has them":   {profiles: selecting(older), older: true},
		"the younger one has them": {profiles: selecting(younger)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			asYounger, asOlder := &scope{workload: younger}, &scope{workload: older}
			asYounger.sidecar.profiles, asOlder.sidecar.profiles = test.profiles, test.profiles
			if got := asYounger.comesFirst(older); got != test.older {
				t.Errorf("the younger one lets the older one come first: %t", got)
			}
			if got := asOlder.comesFirst(younger); got == test.older {
				t.Errorf("the older one lets the younger one come first: %t", got)
			}
		})
	}
	for _, has := range []bool{false, true} {
		s := &scope{workload: younger}
		s.enforcement.Transit, s.sidecar.mesh = true, []string{"lis-0"}
		if has {
			s.sidecar.profiles = selecting(younger)
		}
		if got := s.wantsSidecar(v1alpha1.TransitStagePermissive); got != has {
			t.Errorf("beside a pod of a mesh, with the sidecar there %t: wanted %t", has, got)
		}
	}
}
