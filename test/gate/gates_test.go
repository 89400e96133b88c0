// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/gate"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

// watchGates installs the policy that keeps labguard's scheduling gate on pods, and returns when it is in effect.
func (l lab) watchGates() {
	l.Helper()
	policy, binding := gate.Gates(l.config(deadEndpoint))
	binding.Spec.WithMatchResources(l.Here())
	l.Validate(policy, binding)
	l.gatedPod("probe")
	l.Eventually("the policy keeps the gate", func(ctx context.Context) (bool, error) {
		return l.gates(ctx, "", "probe", nil, metav1.DryRunAll) != nil, nil
	})
}

// gatedPod creates a pod with labguard's gate and another one.
func (l lab) gatedPod(name string) {
	l.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			Containers:      []corev1.Container{{Name: "app", Image: imageOne}},
			SchedulingGates: []corev1.PodSchedulingGate{{Name: "quota.example/wait"}, {Name: v1alpha1.SchedulingGate}},
		},
	}
	_, err := l.Typed("").CoreV1().Pods(l.Namespace).Create(l.Context(), pod, metav1.CreateOptions{})
	l.Must(err)
}

// gates leaves a pod these gates.
func (l lab) gates(ctx context.Context, user, name string, gates []string, dryRun ...string) error {
	l.Helper()
	left := []corev1.PodSchedulingGate{}
	for _, one := range gates {
		left = append(left, corev1.PodSchedulingGate{Name: one})
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"schedulingGates": left}})
	l.Must(err)
	_, err = l.Typed(user).CoreV1().Pods(l.Namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{DryRun: dryRun})
	return err
}

func TestOnlyLabguardTakesItsGateOffAPod(t *testing.T) {
	l := newLab(t)
	l.watchGates()
	l.Bind("edit", tenancy.Labguard)
	l.gatedPod("held")
	for name, left := range map[string][]string{"all gates": nil, "labguard's gate": {"quota.example/wait"}} {
		if err := l.gates(l.Context(), l.Tenant, "held", left); err == nil || !strings.Contains(err.Error(), "only labguard takes the gate") {
			t.Errorf("a tenant takes off %s: %v", name, err)
		}
	}
	l.Passes(l.gates(l.Context(), l.Tenant, "held", []string{v1alpha1.SchedulingGate}))
	l.Passes(l.kubectl("label", "pod", "held", "tier=one"))
	l.Passes(l.gates(l.Context(), tenancy.Labguard, "held", nil))
	l.gatedPod("unwanted")
	l.Passes(l.kubectl("delete", "pod", "unwanted"))
}

// TestAHeldObjectWhileLabguardIsDown: labels, scale and deletion go on; what touches the spec or the marker waits for labguard.
func TestAHeldObjectWhileLabguardIsDown(t *testing.T) {
	l := newLab(t)
	l.protect()
	l.Bind("edit", tenancy.Labguard)
	deployment := deployments
	l.Must(l.create("", deployment, deployment.object("lis", imageTwo)))
	marker, err := json.Marshal(map[string]string{v1alpha1.HoldAnnotation: `{"paused":null}`})
	l.Must(err)
	l.Must(l.patch(tenancy.Labguard, deployment, "lis", `{"metadata":{"annotations":`+string(marker)+`},"spec":{"paused":true}}`))
	l.installWebhooks(l.config(deadEndpoint))
	l.Eventually("the dead webhook is called", func(context.Context) (bool, error) {
		return l.kubectl("set", "image", "deployment/lis", "app="+imageOne, "--dry-run=server") != nil, nil
	})
	l.asked(l.kubectl("rollout", "resume", "deployment/lis"))
	l.asked(l.kubectl("set", "env", "deployment/lis", "A=b"))
	l.Passes(l.kubectl("annotate", "deployment", "lis", v1alpha1.HoldAnnotation+"-")) // healed, so that nothing is left to ask about
	if got := l.get(deployment, "lis").GetAnnotations()[v1alpha1.HoldAnnotation]; got != `{"paused":null}` {
		t.Errorf("the marker is %q", got)
	}
	l.Passes(l.kubectl("label", "deployment", "lis", "tier=one"))
	l.Passes(l.kubectl("scale", "deployment", "lis", "--replicas=3"))
	l.Passes(l.kubectl("delete", "deployment", "lis", "--cascade=foreground"))
}
