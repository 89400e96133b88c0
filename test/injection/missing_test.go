// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

const definitionFile = "../../config/crd/bases/labguard.dev_airlockprofiles.yaml"

func definition() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": injection.ProfileDefinition},
	}}
}

// The kind of the profiles is gone although it is guarded: by an administrator who means it, or by a restore of only half a cluster. What protects
// keys and live pods has no parameter and holds. Pods of governed namespaces are refused until labguard, or a person, takes the policies with a parameter
// away; those of other namespaces never are.
func TestWithoutTheKindOfProfilesTheKeysStaySafe(t *testing.T) {
	l := newLabAlone(t)
	elsewhere := lab{tenancy.Space{T: t, Namespace: cluster.Namespace(t), Tenant: l.Tenant}}
	elsewhere.Bind("edit", l.Tenant)
	l.govern()
	l.declare(l.profile("lis"))
	live, err := l.create(l.pod("lis-0", "lis", sized))
	l.Must(err)
	admin := l.client("")
	l.refused(admin.Delete(t.Context(), definition(), client.DryRunAll), injection.ProfilesName, "remove labguard first")
	t.Cleanup(func() { l.restoreForOthers() })
	l.Must(admin.Patch(t.Context(), definition(), client.RawPatch("application/merge-patch+json",
		[]byte(`{"metadata":{"annotations":{"`+injection.AllowDeletionAnnotation+`":"true"}}}`))))
	l.Must(admin.Delete(t.Context(), definition()))
	l.attackWithoutKind(live, true)
	_, err = l.dryRun(t.Context(), l.pod("app", "lis"))
	l.Passes(err) // no profile, no sidecar

	// An API server that meets the policies for the first time, as after a restart, does not find the kind.
	l.forgetPolicies()
	l.inject(l.config())
	l.guard(l.config())
	l.Eventually("pods of the governed namespace are refused", func(ctx ctx) (bool, error) {
		_, err := elsewhere.dryRun(ctx, elsewhere.pod("app", "lis"))
		if ctx.Err() == nil {
			l.Passes(err)
		}
		_, err = l.dryRun(ctx, l.pod("app", "other"))
		return err != nil && strings.Contains(err.Error(), "AirlockProfile"), nil
	})
	l.attackWithoutKind(live, false)
	_, err = elsewhere.dryRun(t.Context(), elsewhere.pod("app", "lis"))
	l.Passes(err)

	standDown := l.config()
	standDown.KindMissing = true
	l.reapply(standDown)
	l.Eventually("pods start again, without a sidecar", func(ctx ctx) (bool, error) {
		pod, err := l.dryRun(ctx, l.pod("app", "lis"))
		return err == nil && pod.Labels[v1alpha1.WorkloadLabel] == "", nil
	})
	l.Eventually("nobody gets at the keys", func(ctx ctx) (bool, error) {
		_, err := l.dryRun(ctx, l.forged("thief", "lis", "lis", "lis-one"))
		return l.by(err, injection.ReadersName), nil
	})
	l.attackWithoutKind(live, true)
}

// attackWithoutKind is everything that must not work while there is no profile to compare with. Without the kind a governed pod can be neither made nor changed, so that the use of it is looked at only where the policies work.
func (l lab) attackWithoutKind(live *podOf, use bool) {
	l.Helper()
	if use {
		l.attackLive(live)
		l.useLive(live)
	}
	l.Run("a pod that knows what to look like", func(t *testing.T) {
		if _, err := l.in(t).dryRun(t.Context(), l.forged("thief", "lis", "lis", "lis-one")); err == nil {
			t.Error("the keys are stolen")
		}
	})
	for name, change := range references {
		_, err := l.dryRun(l.Context(), l.pod("thief", "other", change))
		if err == nil || !l.by(err, injection.ReadersName) && !strings.Contains(err.Error(), "AirlockProfile") {
			l.Errorf("%s: %v", name, err)
		}
	}
	configMap := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"namespace": l.Namespace, "name": "labguard-lis"},
	}}
	l.refused(l.client(l.Tenant).Create(l.Context(), configMap), injection.ReservedName, "labguard's own")
}

// forgetPolicies takes all policies with a parameter away, so that the API server forgets the kind.
func (l lab) forgetPolicies() {
	l.Helper()
	api := l.typed("").AdmissionregistrationV1()
	name := func(policy string) string { return policy + "." + l.Namespace }
	l.Must(api.MutatingAdmissionPolicyBindings().Delete(l.Context(), name(injection.InjectionName), metav1.DeleteOptions{}))
	l.Must(api.MutatingAdmissionPolicies().Delete(l.Context(), name(injection.InjectionName), metav1.DeleteOptions{}))
	for _, binding := range []string{injection.BackstopName, injection.ClaimsName, injection.RelabelledName} {
		l.Must(api.ValidatingAdmissionPolicyBindings().Delete(l.Context(), name(binding), metav1.DeleteOptions{}))
	}
	l.Must(api.ValidatingAdmissionPolicies().Delete(l.Context(), name(injection.BackstopName), metav1.DeleteOptions{}))
	l.Eventually("the API server has noticed", func(ctx ctx) (bool, error) {
		_, err := l.dryRun(ctx, l.forged("thief", "lis", "lis", "lis-one"))
		return err == nil, nil
	})
}

// reapply writes the policies of another configuration over those of the lab.
func (l lab) reapply(config injection.Config) {
	l.Helper()
	api := l.typed("").AdmissionregistrationV1()
	policy, _ := injection.Injection(config)
	l.Own(policy.Name)
	_, err := api.MutatingAdmissionPolicies().Apply(l.Context(), policy, tenancy.Forced)
	l.Must(err)
	for _, one := range injection.Guards(config) {
		l.Own(one.Policy.Name)
		_, err := api.ValidatingAdmissionPolicies().Apply(l.Context(), one.Policy, tenancy.Forced)
		l.Must(err)
	}
}

// restoreForOthers brings the kind back for the tests that come next.
func (l lab) restoreForOthers() {
	for range 600 {
		if _, err := cluster.Kubectl(l, "apply", "--server-side", "--force-conflicts", "-f", definitionFile); err != nil {
			continue
		}
		if _, err := cluster.Kubectl(l, "wait", "--for=condition=Established", "--timeout=60s", "-f", definitionFile); err == nil {
			return
		}
	}
	l.Error("the kind does not come back")
}
