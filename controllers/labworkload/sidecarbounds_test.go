// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
)

func TestTwoSidecarsForOnePod(t *testing.T) {
	l := newSidecarLab(t)
	l.arrange()
	second := l.sidecarWorkload("zweites")
	second.Spec.Selector.MatchLabels = map[string]string{"app": "lis"}
	l.create(second)
	l.settle("lis", "zweites")
	younger := l.expect("zweites", v1alpha1.TransitStageObserve, v1alpha1.ReasonSelectorOverlap)
	if stalled := meta.FindStatusCondition(younger.Status.Conditions, v1alpha1.ConditionStalled); stalled == nil || l.profile("zweites") != nil || l.profile("lis") == nil {
		t.Errorf("stalled %+v; profiles %v and %v", stalled, l.profile("zweites"), l.profile("lis"))
	}
}

func TestACompanionNeverTakesOverAForeignService(t *testing.T) {
	l := newSidecarLab(t)
	l.create(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "lis-mtls"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "own"}, Ports: []corev1.ServicePort{{Port: 1}}}})
	l.arrange()
	l.settle("lis", "engine")
	l.expect("lis", v1alpha1.TransitStagePermissive, v1alpha1.ReasonNameTaken)
	service := &corev1.Service{}
	if err := l.Get(t.Context(), l.key("lis-mtls"), service); err != nil || service.Spec.Selector["app"] != "own" || len(service.OwnerReferences) > 0 {
		t.Errorf("the Service of somebody else is now %+v, %v", service.Spec, err)
	}
}

func TestNoKeyIsAskedForBeforeItIsGuarded(t *testing.T) {
	l := newSidecarLab(t)
	guarded := map[string]bool{}
	l.workloads.Sidecars.Guards = func(_ context.Context, namespace string) (bool, error) { return guarded[namespace], nil }
	l.workloads.Sidecars.Salt = "salt"
	workload := l.sidecarWorkload("lis", v1alpha1.TransitPort{Name: "mllp", Port: 2575})
	l.create(workload)
	l.settle("lis")
	certificate := &certmanagerv1.Certificate{}
	err := l.Get(t.Context(), l.key(desired.IdentityName("lis")), certificate)
	if profile := l.profile("lis"); profile != nil || !apierrors.IsNotFound(err) {
		t.Fatalf("without guards there are profile %v and certificate %v, %v", profile, certificate.Name, err)
	}
	guarded[l.namespace] = true
	l.settle("lis")
	if err := l.Get(t.Context(), l.key(desired.IdentityName("lis")), certificate); err != nil {
		t.Fatal(err)
	}
	if name := transit.SecretName(workload, nil, "salt"); certificate.Spec.SecretName != name || l.profile("lis").Spec.Current.Secret != name {
		t.Errorf("the Secret of the certificate is %s and that of the profile %s, want %s", certificate.Spec.SecretName, l.profile("lis").Spec.Current.Secret, name)
	}
	guarded[l.namespace] = false
	l.settle("lis")
	if l.profile("lis") == nil {
		t.Error("the profile goes with the guards")
	}
}
