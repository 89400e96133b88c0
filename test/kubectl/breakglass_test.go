// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package kubectl

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

func TestAUseIsListedAndAcknowledgedByThePersonWhoAsks(t *testing.T) {
	namespace, c := cluster.Namespace(t), api(t)
	night := metav1.NewTime(time.Date(2026, time.November, 26, 3, 12, 9, 0, time.UTC))
	use := &v1alpha1.BreakGlassUse{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "sealed-1"}, Spec: v1alpha1.BreakGlassUseSpec{
		User: "sealed", First: night, Last: night, Count: 1,
		Requests: []v1alpha1.BreakGlassRequest{{At: night, Operation: "CONNECT", Resource: "pods/exec", Name: "lis-0"}},
	}}
	if err := c.Create(t.Context(), use); err != nil {
		t.Fatal(err)
	}
	grant(t, "ann", "breakglassuses.labguard.dev", "acknowledge", "get", "list", "patch")
	out, errOut, err := labguard(t, "ann", "break-glass", "list", "-A")
	if err != nil || !strings.Contains(out, namespace+"   sealed-1   sealed   1          2026-11-26T03:12:09Z   2026-11-26T03:12:09Z   -                 -") ||
		!strings.Contains(errOut, "use is open") {
		t.Errorf("%v\n%s%s", err, out, errOut)
	}
	const reason = "INC-4711: the login provider was down"
	if out, errOut, err = labguard(t, "ann", "break-glass", "acknowledge", "sealed-1", "-n", namespace, "--reason", reason); err != nil || errOut != "" {
		t.Fatalf("%v\n%s%s", err, out, errOut)
	}
	if !strings.Contains(out, "CONNECT     pods/exec   lis-0") || !strings.Contains(out, reason) {
		t.Errorf("it does not say what was acknowledged:\n%s", out)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(use), use); err != nil {
		t.Fatal(err)
	}
	if got := use.Spec.Acknowledgement; got == nil || got.By != "ann" || got.Reason != reason {
		t.Errorf("the acknowledgement is %+v", got)
	}
	if _, errOut, err = labguard(t, "ann", "break-glass", "acknowledge", "sealed-1", "-n", namespace, "--reason", "again"); err == nil ||
		!strings.Contains(errOut, "error: ann has acknowledged it already: "+reason) {
		t.Errorf("a second time: %v, %s", err, errOut)
	}
}

func TestWhoeverMayNotPatchAUseAcknowledgesNothing(t *testing.T) {
	namespace, c := cluster.Namespace(t), api(t)
	now := metav1.NewTime(time.Date(2026, time.November, 26, 3, 12, 9, 0, time.UTC))
	use := &v1alpha1.BreakGlassUse{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "sealed-1"}, Spec: v1alpha1.BreakGlassUseSpec{User: "sealed", First: now, Last: now, Count: 1},
	}
	if err := c.Create(t.Context(), use); err != nil {
		t.Fatal(err)
	}
	grant(t, "viewer", "breakglassuses.labguard.dev", "get", "list")
	_, errOut, err := labguard(t, "viewer", "break-glass", "acknowledge", "sealed-1", "-n", namespace, "--reason", "nothing to see")
	if err == nil || !strings.Contains(errOut, `have somebody bind the ClusterRole labguard-acknowledger to you there: breakglassuses.labguard.dev "sealed-1" is forbidden: User "viewer" cannot patch`) {
		t.Errorf("%v, %s", err, errOut)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(use), use); err != nil || use.Spec.Acknowledgement != nil {
		t.Errorf("%v, %+v", err, use.Spec.Acknowledgement)
	}
}
