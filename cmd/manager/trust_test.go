// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/operator"
	"github.com/labguard/labguard/internal/testutil/pki"
)

// labCA makes the ClusterIssuer lab-ca, which signs with an authority.
func (l *lab) labCA(root *pki.Authority) {
	l.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "cert-manager", Name: "lab-ca"}, Type: corev1.SecretTypeTLS,
		StringData: map[string]string{corev1.TLSCertKey: root.Text(), corev1.TLSPrivateKeyKey: root.KeyText()},
	}
	issuer := &certmanagerv1.ClusterIssuer{ObjectMeta: metav1.ObjectMeta{Name: "lab-ca"}}
	issuer.Spec.CA = &certmanagerv1.CAIssuer{SecretName: secret.Name}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: secret.Namespace}}
	if err := client.IgnoreAlreadyExists(l.Create(l.Context(), namespace)); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		ctx := context.Background()
		ours := client.MatchingLabels{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}
		own := client.InNamespace("labguard-system")
		if err := errors.Join(
			client.IgnoreNotFound(l.Delete(ctx, issuer)), client.IgnoreNotFound(l.Delete(ctx, secret)),
			l.DeleteAllOf(ctx, &certificatesv1.ClusterTrustBundle{}, ours), l.DeleteAllOf(ctx, &corev1.ConfigMap{}, own, ours),
			l.DeleteAllOf(ctx, &certmanagerv1.Certificate{}, own, ours),
			client.IgnoreNotFound(l.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "labguard-system", Name: v1alpha1.OperatorSecret}})),
		); err != nil {
			l.Error(err)
		}
	})
	if err := errors.Join(l.Create(l.Context(), secret), l.Create(l.Context(), issuer)); err != nil {
		l.Fatal(err)
	}
}

// TestTheManagerPublishesRootsAndHasAnIdentityUnderThem runs a whole manager with the rights of its ServiceAccount and no others.
func TestTheManagerPublishesRootsAndHasAnIdentityUnderThem(t *testing.T) {
	l, root := newLab(t), pki.NewAuthorityAt(t, "lab-ca", time.Now())
	l.labCA(root)
	startConfigured(t, "trustDomains:\n  - name: lab.example\n    roots: "+indented(root.Text()))
	operator.Eventually(t, "the bundle is published", func() error {
		bundle := &certificatesv1.ClusterTrustBundle{}
		if err := l.Get(t.Context(), client.ObjectKey{Name: "labguard-trust-lab.example"}, bundle); err != nil {
			return err
		}
		roots, err := posture.ParseRoots(bundle.Spec.TrustBundle, posture.MaxPublished)
		if err == nil && (len(roots) != 1 || roots[0].Fingerprint != root.Fingerprint()) {
			err = errors.New("it has other roots")
		}
		return err
	})
	operator.Eventually(t, "labguard has a certificate", func() error {
		secret := &corev1.Secret{}
		if err := l.Get(t.Context(), client.ObjectKey{Namespace: "labguard-system", Name: v1alpha1.OperatorSecret}, secret); err != nil {
			return err
		}
		roots, err := posture.ParseRoots(root.Text(), posture.MaxRoots)
		if err == nil && len(posture.RootsOf(secret.Data[corev1.TLSCertKey], roots)) != 1 {
			err = errors.New("it does not chain to the root")
		}
		return err
	})
	// A bundle that somebody deletes is back.
	if err := l.Delete(t.Context(), &certificatesv1.ClusterTrustBundle{ObjectMeta: metav1.ObjectMeta{Name: "labguard-trust-lab.example"}}); err != nil {
		t.Fatal(err)
	}
	operator.Eventually(t, "the bundle is back", func() error {
		return l.Get(t.Context(), client.ObjectKey{Name: "labguard-trust-lab.example"}, &certificatesv1.ClusterTrustBundle{})
	})
}
