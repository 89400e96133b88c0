// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/apply"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/pki"
)

// issuer makes an Issuer that signs with an authority, or changes with what it signs.
func (w *world) issuer(root *pki.Authority) {
	w.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "ca"}, Type: corev1.SecretTypeTLS,
		StringData: map[string]string{corev1.TLSCertKey: root.Text(), corev1.TLSPrivateKeyKey: root.KeyText()},
	}
	if err := client.IgnoreNotFound(w.Delete(w.Context(), secret.DeepCopy())); err != nil {
		w.Fatal(err)
	}
	if err := w.Create(w.Context(), secret); err != nil {
		w.Fatal(err)
	}
	issuer := &certmanagerv1.Issuer{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "ca"}}
	issuer.Spec.CA = &certmanagerv1.CAIssuer{SecretName: "ca"}
	if err := client.IgnoreAlreadyExists(w.Create(w.Context(), issuer)); err != nil {
		w.Fatal(err)
	}
}

// certificate waits until a certificate has a revision.
func (w *world) certificate(name string, revision int) *certmanagerv1.Certificate {
	w.Helper()
	certificate := &certmanagerv1.Certificate{}
	err := wait.PollUntilContextTimeout(w.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := w.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: name}, certificate)
		return err == nil && certificate.Status.Revision != nil && *certificate.Status.Revision >= revision && !apply.Issuing(certificate), err
	})
	if err != nil {
		w.Fatalf("%s has no revision %d: %v: %+v", name, revision, err, certificate.Status)
	}
	return certificate
}

func (w *world) leaf(name string) {
	w.Helper()
	certificate := &certmanagerv1.Certificate{ObjectMeta: metav1.ObjectMeta{
		Namespace: w.Namespace, Name: name, Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue},
	}}
	certificate.Spec.SecretName, certificate.Spec.URIs = name, []string{"spiffe://lab.example/ns/a/labworkload/" + name}
	certificate.Spec.IssuerRef = cmmeta.IssuerReference{Kind: "Issuer", Name: "ca", Group: "cert-manager.io"}
	certificate.Spec.PrivateKey = &certmanagerv1.CertificatePrivateKey{Algorithm: certmanagerv1.ECDSAKeyAlgorithm, Size: 256, RotationPolicy: certmanagerv1.RotationPolicyAlways}
	if err := w.Create(w.Context(), certificate); err != nil {
		w.Fatal(err)
	}
}

// The whole way from one root to another: no pod runs, and still a Secret has a leaf under the old root, with which a pod would start tomorrow.
func TestCertificatesAreIssuedAnewBeforeTheirRootLeaves(t *testing.T) {
	w := newWorld(t)
	old, fresh := pki.NewAuthorityAt(t, "old", w.clock.Now()), pki.NewAuthorityAt(t, "fresh", w.clock.Now())
	w.issuer(old)
	for _, name := range []string{"one", "two"} {
		w.leaf(name)
		w.certificate(name, 1)
	}
	w.Sources = []posture.TrustSource{w.own(old)}
	w.converge()
	w.issuer(fresh)
	w.Sources = []posture.TrustSource{w.own(fresh)}
	w.restart()
	w.converge()
	w.has(w.bundle("labguard-trust-lab.example").Spec.TrustBundle, old, fresh)
	if certificate := w.certificate("one", 1); *certificate.Status.Revision != 1 {
		t.Errorf("it was issued anew within an hour: revision %d", *certificate.Status.Revision)
	}

	w.clock.Step(2 * time.Hour)
	if _, err := w.Reconcile(t.Context(), TheTrust); err != nil {
		t.Fatal(err)
	}
	w.certificate("one", 2)
	if certificate := w.certificate("two", 1); *certificate.Status.Revision != 1 {
		t.Errorf("a second one was issued before the issuer had shown that it signs anew: revision %d", *certificate.Status.Revision)
	}
	if _, err := w.Reconcile(t.Context(), TheTrust); err != nil {
		t.Fatal(err)
	}
	w.has(w.bundle("labguard-trust-lab.example").Spec.TrustBundle, old, fresh)
	w.certificate("two", 2)
	w.converge()
	w.has(w.bundle("labguard-trust-lab.example").Spec.TrustBundle, fresh)
}

func TestLabguardAsksForACertificateOfItsOwn(t *testing.T) {
	w := newWorld(t)
	w.ClusterIssuer = "lab-ca"
	w.converge()
	find := func() (*certmanagerv1.Certificate, error) {
		found := &certmanagerv1.Certificate{}
		return found, w.Get(t.Context(), client.ObjectKey{Namespace: w.Namespace, Name: v1alpha1.OperatorCertificate}, found)
	}
	if _, err := find(); err == nil {
		t.Error("a certificate though there are no roots for it")
	}
	w.Sources = []posture.TrustSource{w.own(pki.NewAuthorityAt(t, "own", w.clock.Now()))}
	w.converge()
	found, err := find()
	if err != nil || found.Spec.SecretName != v1alpha1.OperatorSecret || len(found.Spec.URIs) != 1 || found.Spec.URIs[0] != "spiffe://lab.example/labguard/operator" {
		t.Fatalf("got %+v, %v", found.Spec, err)
	}
	found.Spec.IssuerRef.Name = "mine"
	if err := w.Update(t.Context(), found, client.FieldOwner("somebody")); err != nil {
		t.Fatal(err)
	}
	w.converge()
	if found, err = find(); err != nil || found.Spec.IssuerRef.Name != "lab-ca" {
		t.Errorf("issuer %q, %v", found.Spec.IssuerRef.Name, err)
	}
	w.ClusterIssuer = ""
	w.restart()
	w.converge()
	if _, err := find(); err != nil {
		t.Errorf("the certificate went with its issuer: %v", err)
	}
}
