// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/labguard/labguard/api/v1alpha1"
)

// TestMachinesThatAreNotListedAreNamed at Audit above all: whoever wants to enforce has to know whom that would stop.
func TestMachinesThatAreNotListedAreNamed(t *testing.T) {
	for enforcement, decision := range map[v1alpha1.Enforcement]string{v1alpha1.EnforcementAudit: "audited", v1alpha1.EnforcementEnforce: "refused"} {
		var lines []string
		ctx := log.IntoContext(t.Context(), funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{}))
		s := newSite(t, laboratory(func(w *v1alpha1.LabWorkload) { w.Spec.Enforcement = enforcement })...)
		ask := func(who user) {
			s.gate.Validating().Handle(ctx, request(who, admissionv1.Update, "endpoints", "lis"))
		}
		for range 3 {
			ask(serviceAccount(lab, "patroni"))
		}
		ask(serviceAccount("flux-system", "kustomize"))
		ask(mia(claim("amr", "pwd")))
		if len(lines) != 1 || !strings.Contains(lines[0], "system:serviceaccount:"+lab+":patroni") || !strings.Contains(lines[0], `"decision"="`+decision+`"`) {
			t.Errorf("%s: told %q", enforcement, lines)
		}
		s.clock.SetTime(now.Add(time.Hour))
		ask(serviceAccount(lab, "patroni"))
		if len(lines) != 2 {
			t.Errorf("%s: told %q after an hour", enforcement, lines)
		}
		s.gate.Validating().Handle(ctx, exec(certificate("jane")))
		for range 3 {
			ask(certificate("eks:node-manager"))
		}
		if len(lines) != 3 || !strings.Contains(lines[2], "eks:node-manager") || !strings.Contains(lines[2], "NoClaims") {
			t.Errorf("%s: told %q of a controller with the name of a person", enforcement, lines)
		}
	}
}
