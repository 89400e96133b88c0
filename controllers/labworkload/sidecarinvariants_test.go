// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"errors"
	"fmt"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
	"github.com/labguard/labguard/internal/testutil/reliability"
)

// sidecarObjects are those of one moment; nil: it is not there, or on its way out.
type sidecarObjects struct {
	workload    *v1alpha1.LabWorkload
	profile     *v1alpha1.AirlockProfile
	policy      *networkingv1.NetworkPolicy
	document    *corev1.ConfigMap
	certificate *certmanagerv1.Certificate
	companion   *corev1.Service
	pod         *corev1.Pod
}

func sidecarObjectsOf(ctx context.Context, w *reliability.World) (sidecarObjects, error) {
	child := desired.ChildName("lis")
	var found sidecarObjects
	err := errors.Join(
		there(ctx, w, "lis", &found.workload), there(ctx, w, child, &found.profile), there(ctx, w, child, &found.policy), there(ctx, w, child, &found.document),
		there(ctx, w, desired.IdentityName("lis"), &found.certificate), there(ctx, w, desired.CompanionName("lis"), &found.companion), there(ctx, w, "lis-0", &found.pod),
	)
	return found, err
}

func there[T any, P interface {
	*T
	client.Object
}](ctx context.Context, w *reliability.World, name string, found *P) error {
	object := P(new(T))
	err := w.Admin.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: name}, object)
	if err == nil && object.GetDeletionTimestamp() == nil {
		*found = object
	}
	return client.IgnoreNotFound(err)
}

// nothingIsLost is asked after every write.
func (s *sidecarWorld) nothingIsLost(ctx context.Context, w *reliability.World) error {
	now, err := sidecarObjectsOf(ctx, w)
	if err != nil {
		return err
	}
	return errors.Join(s.selectorStays(now), s.portsStayClosed(now), s.profileKeepsWhatPodsLiveOn(now), now.companionSelects())
}

// selectorStays: while the LabWorkload asks for the sidecar, no pod starts without it that could have had it before.
func (s *sidecarWorld) selectorStays(now sidecarObjects) error {
	selects := now.profile != nil && now.profile.Spec.Selector != nil
	if s.selected && now.workload != nil && !selects {
		return errors.New("the profile selected pods, is asked for, and selects none any more")
	}
	s.selected = s.selected || selects
	if selects && now.document == nil {
		return errors.New("pods get a sidecar that finds no document")
	}
	if now.pod != nil && now.profile == nil {
		return errors.New("a pod has the sidecar, and its profile is gone")
	}
	return nil
}

// portsStayClosed: the policy opens the declared port and those of the sidecar at most, and plaintext no more once it was closed.
func (s *sidecarWorld) portsStayClosed(now sidecarObjects) error {
	if now.workload == nil {
		return nil // garbage collection takes the policy away first: that opens, and is what was asked for
	}
	if now.policy == nil {
		if s.closed {
			return errors.New("the policy of a LabWorkload at Strict is gone")
		}
		return nil
	}
	plaintext := false
	for _, rule := range now.policy.Spec.Ingress {
		if len(rule.Ports) == 0 {
			return errors.New("the policy opens every port")
		}
		for _, port := range rule.Ports {
			number := port.Port.IntVal
			plaintext = plaintext || number == 2575
			// Where the profile cannot be written, its port may be open already: no pod has a sidecar that listens there.
			if number != 2575 && number != config.AdminPort && number != sidecarPort(now.profile) && now.profile != nil || port.EndPort != nil {
				return fmt.Errorf("the policy opens port %d", number)
			}
		}
	}
	if plaintext && s.closed {
		return errors.New("plaintext was closed and is open again, and nobody asked for that")
	}
	if !plaintext && (now.profile == nil || now.profile.Spec.Selector == nil || now.document == nil || now.companion == nil || now.certificate == nil) {
		return errors.New("plaintext is closed before what carries the connections is there")
	}
	s.closed = s.closed || !plaintext
	return nil
}

func sidecarPort(profile *v1alpha1.AirlockProfile) int32 {
	if profile == nil || len(profile.Spec.Ports) == 0 {
		return 0
	}
	return profile.Spec.Ports[0].SidecarPort
}

// profileKeepsWhatPodsLiveOn: what was there once stays, and stays the same object, for as long as the profile.
func (s *sidecarWorld) profileKeepsWhatPodsLiveOn(now sidecarObjects) error {
	if now.profile == nil {
		return nil // the garbage collector takes them
	}
	if s.uids["profile"] != now.profile.UID {
		s.uids = map[string]types.UID{"profile": now.profile.UID}
	}
	seen := map[string]types.UID{}
	if now.document != nil {
		seen["document"] = now.document.UID
		if err := transit.Check([]byte(now.document.Data[transit.DocumentKey])); err != nil {
			return fmt.Errorf("airlock refuses the document: %w", err)
		}
	}
	if now.certificate != nil {
		seen["certificate"] = now.certificate.UID
		if now.certificate.Spec.SecretName != now.profile.Spec.Current.Secret {
			return fmt.Errorf("the certificate is put into Secret %s, and pods mount %s", now.certificate.Spec.SecretName, now.profile.Spec.Current.Secret)
		}
	}
	if now.companion != nil {
		seen["companion"] = now.companion.UID
	}
	for _, name := range []string{"document", "certificate", "companion"} {
		if before := s.uids[name]; before != "" && seen[name] != before {
			return fmt.Errorf("the profile is there, and its %s is gone or another one", name)
		}
		s.uids[name] = seen[name]
	}
	return nil
}

// companionSelects: a Service without a selector leads nowhere, and one without the label of the sidecar leads to pods that have none.
func (now sidecarObjects) companionSelects() error {
	if now.companion != nil && (now.companion.Spec.Selector["app"] != "lis" || now.companion.Spec.Selector[v1alpha1.WorkloadLabel] == "") {
		return fmt.Errorf("the companion selects %v", now.companion.Spec.Selector)
	}
	if now.companion != nil && now.profile != nil && !metav1.IsControlledBy(now.companion, now.profile) {
		return errors.New("the companion is not the profile's")
	}
	return nil
}
