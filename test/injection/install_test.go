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
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

// config is that of a labguard that knows of the lab's namespace only.
func (l lab) config() injection.Config {
	return injection.Config{
		Namespaces: []string{l.Namespace}, LabguardUser: tenancy.Labguard, ClusterTrustBundles: true,
		ProtectedIssuers: []injection.Issuer{{Kind: "ClusterIssuer", Name: "lab-" + l.Namespace}, {Kind: "Issuer", Namespace: l.Namespace, Name: "lab"}},
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
	l.Mutate(injection.Injection(config))
}

func (l lab) guard(config injection.Config) {
	l.Helper()
	for _, one := range injection.Guards(config) {
		for _, binding := range one.Bindings {
			if binding.Spec.MatchResources == nil {
				binding.Spec.WithMatchResources(admissionac.MatchResources())
			}
			binding.Spec.MatchResources.WithNamespaceSelector(l.Here().NamespaceSelector)
		}
		l.Validate(one.Policy, one.Bindings...)
	}
}

// awaitGuards returns when each policy acts.
func (l lab) awaitGuards() {
	l.Helper()
	probe := l.profile("probe")
	l.Eventually("the profile is in effect", func(ctx context.Context) (bool, error) {
		err := l.client(tenancy.Labguard).Create(ctx, probe)
		return err == nil || apierrors.IsAlreadyExists(err), nil
	})
	bare := l.pod("probe", "none")
	bare.Labels[v1alpha1.AirlockLabel] = "none"
	hostile := l.pod("probe", "probe")
	hostile.Spec.HostPID = true
	reserved := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "labguard-probe", Namespace: l.Namespace}}
	self, reader := l.pod("probe", "none"), l.pod("probe", "none")
	reader.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "labguard-probe"}}
	for policy, try := range map[string]func(context.Context) error{
		injection.LiveName:     func(ctx context.Context) error { _, err := l.dryRun(ctx, bare); return err },
		injection.BackstopName: func(ctx context.Context) error { _, err := l.dryRun(ctx, hostile); return err },
		injection.ReservedName: func(ctx context.Context) error {
			return l.client("").Create(ctx, reserved.DeepCopy(), client.DryRunAll)
		},
		injection.ReadersName:  func(ctx context.Context) error { _, err := l.dryRun(ctx, reader); return err },
		injection.ProfilesName: func(ctx context.Context) error { return l.client("").Create(ctx, l.profile("other"), client.DryRunAll) },
		injection.SelfName: func(ctx context.Context) error {
			return l.client(tenancy.Labguard).Create(ctx, self.DeepCopy(), client.DryRunAll)
		},
		injection.IssuersName: func(ctx context.Context) error {
			return l.client("").Create(ctx, l.certificate("Certificate", "probe", "ClusterIssuer", "lab-"+l.Namespace), client.DryRunAll)
		},
	} {
		var last error
		err := wait.PollUntilContextTimeout(l.Context(), tenancy.PollEvery, tenancy.Patience/4, true, func(ctx context.Context) (bool, error) {
			if err := try(ctx); ctx.Err() == nil {
				last = err
			}
			return l.by(last, policy), nil
		})
		if err != nil {
			l.Fatalf("%s does not act: %v", policy, last)
		}
	}
	l.Must(l.client(tenancy.Labguard).Delete(l.Context(), probe))
}

// awaitInjection returns when pods get the sidecar, and nothing claims to have got it.
func (l lab) awaitInjection() {
	l.Helper()
	l.Eventually("nothing carries the label without a profile", func(ctx context.Context) (bool, error) {
		_, err := l.dryRun(ctx, l.forged("probe", "none", "probe", "none"))
		return l.by(err, injection.ClaimsName) || l.by(err, injection.BackstopName), nil
	})
	probe := l.profile("probe")
	l.Must(l.client(tenancy.Labguard).Create(l.Context(), probe))
	l.Eventually("pods are injected", func(ctx context.Context) (bool, error) {
		pod, err := l.dryRun(ctx, l.pod("probe", "probe"))
		return err == nil && len(pod.Spec.InitContainers) == 1, nil
	})
	l.Must(l.client(tenancy.Labguard).Delete(l.Context(), probe))
}

// dryRun gives a pod as it would be created.
func (l lab) dryRun(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	pod = pod.DeepCopy()
	err := l.client(l.Tenant).Create(ctx, pod, client.DryRunAll)
	return pod, err
}
