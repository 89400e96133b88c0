// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection_test

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/injection"
)

var forced = metav1.ApplyOptions{FieldManager: v1alpha1.FieldManager, Force: true}

// config is that of a labguard that knows of the lab's namespace only.
func (l lab) config() injection.Config {
	return injection.Config{
		Namespaces: []string{l.namespace}, LabguardUser: labguardUser, ClusterTrustBundles: true,
		ProtectedIssuers: []injection.Issuer{{Kind: "ClusterIssuer", Name: "lab-" + l.namespace}, {Kind: "Issuer", Namespace: l.namespace, Name: "lab"}},
	}
}

// govern installs the policies under names of the lab's own, and returns when they are in effect.
func (l lab) govern() {
	l.Helper()
	l.governWith(l.config())
}

// governWith is govern with another configuration.
func (l lab) governWith(config injection.Config) {
	l.Helper()
	l.inject(config)
	l.guard(config)
	l.awaitGuards()
	l.awaitInjection()
}

func (l lab) inject(config injection.Config) {
	l.Helper()
	api := l.typed("").AdmissionregistrationV1()
	policy, binding := injection.Injection(config)
	l.own(binding.Spec.PolicyName)
	policyName, bindingName := l.own(policy.Name), l.own(binding.Name)
	_, err := api.MutatingAdmissionPolicies().Apply(l.Context(), policy, forced)
	l.must(err)
	l.afterwards(func(ctx context.Context) error {
		return api.MutatingAdmissionPolicies().Delete(ctx, policyName, metav1.DeleteOptions{})
	})
	_, err = api.MutatingAdmissionPolicyBindings().Apply(l.Context(), binding, forced)
	l.must(err)
	l.afterwards(func(ctx context.Context) error {
		return api.MutatingAdmissionPolicyBindings().Delete(ctx, bindingName, metav1.DeleteOptions{})
	})
}

func (l lab) guard(config injection.Config) {
	l.Helper()
	api := l.typed("").AdmissionregistrationV1()
	for _, one := range injection.Guards(config) {
		l.own(one.Binding.Spec.PolicyName)
		policyName, bindingName := l.own(one.Policy.Name), l.own(one.Binding.Name)
		one.Binding.Spec.WithMatchResources(l.here())
		_, err := api.ValidatingAdmissionPolicies().Apply(l.Context(), one.Policy, forced)
		l.must(err)
		l.afterwards(func(ctx context.Context) error {
			return api.ValidatingAdmissionPolicies().Delete(ctx, policyName, metav1.DeleteOptions{})
		})
		_, err = api.ValidatingAdmissionPolicyBindings().Apply(l.Context(), one.Binding, forced)
		l.must(err)
		l.afterwards(func(ctx context.Context) error {
			return api.ValidatingAdmissionPolicyBindings().Delete(ctx, bindingName, metav1.DeleteOptions{})
		})
	}
}

// awaitGuards returns when each policy acts.
func (l lab) awaitGuards() {
	l.Helper()
	probe := l.profile("probe")
	l.eventually("the profile is in effect", func(ctx context.Context) (bool, error) {
		err := l.client(labguardUser).Create(ctx, probe)
		return err == nil || apierrors.IsAlreadyExists(err), nil
	})
	claims := l.forged("probe", "none", "probe", "none")
	bare := l.pod("probe", "none")
	bare.Labels[v1alpha1.AirlockLabel] = "none"
	hostile := l.pod("probe", "probe")
	hostile.Spec.HostPID = true
	reserved := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "labguard-probe", Namespace: l.namespace}}
	self := l.pod("probe", "none")
	for policy, try := range map[string]func(context.Context) error{
		injection.ClaimsName:   func(ctx context.Context) error { _, err := l.dryRun(ctx, claims); return err },
		injection.LiveName:     func(ctx context.Context) error { _, err := l.dryRun(ctx, bare); return err },
		injection.BackstopName: func(ctx context.Context) error { _, err := l.dryRun(ctx, hostile); return err },
		injection.ReservedName: func(ctx context.Context) error {
			return l.client("").Create(ctx, reserved.DeepCopy(), client.DryRunAll)
		},
		injection.ProfilesName: func(ctx context.Context) error { return l.client("").Create(ctx, l.profile("other"), client.DryRunAll) },
		injection.SelfName: func(ctx context.Context) error {
			return l.client(labguardUser).Create(ctx, self.DeepCopy(), client.DryRunAll)
		},
		injection.IssuersName: func(ctx context.Context) error {
			return l.client("").Create(ctx, l.certificate("Certificate", "probe", "ClusterIssuer", "lab-"+l.namespace), client.DryRunAll)
		},
	} {
		var last error
		err := wait.PollUntilContextTimeout(l.Context(), pollEvery, patience/4, true, func(ctx context.Context) (bool, error) {
			if err := try(ctx); ctx.Err() == nil {
				last = err
			}
			return l.by(last, policy), nil
		})
		if err != nil {
			l.Fatalf("%s does not act: %v", policy, last)
		}
	}
	l.must(l.client(labguardUser).Delete(l.Context(), probe))
}

// awaitInjection returns when pods get the sidecar.
func (l lab) awaitInjection() {
	l.Helper()
	probe := l.profile("probe")
	l.must(l.client(labguardUser).Create(l.Context(), probe))
	l.eventually("pods are injected", func(ctx context.Context) (bool, error) {
		pod, err := l.dryRun(ctx, l.pod("probe", "probe"))
		return err == nil && len(pod.Spec.InitContainers) == 1, nil
	})
	l.must(l.client(labguardUser).Delete(l.Context(), probe))
}

// dryRun gives a pod as it would be created.
func (l lab) dryRun(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	pod = pod.DeepCopy()
	err := l.client(l.tenant).Create(ctx, pod, client.DryRunAll)
	return pod, err
}

// here selects the lab's namespace.
func (l lab) here() *admissionac.MatchResourcesApplyConfiguration {
	return admissionac.MatchResources().WithNamespaceSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{corev1.LabelMetadataName: l.namespace}))
}

// own makes the name of a cluster-scoped object the lab's own and returns it.
func (l lab) own(name *string) string {
	*name += "." + l.namespace
	return *name
}

// afterwards deletes a cluster-scoped object when the test has ended.
func (l lab) afterwards(remove func(context.Context) error) {
	l.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := remove(ctx); err != nil && !apierrors.IsNotFound(err) {
			l.Errorf("clean up: %v", err)
		}
	})
}
