// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"net/url"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager"
	cmv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmv1ac "github.com/cert-manager/cert-manager/pkg/client/applyconfigurations/certmanager/v1"
	cmmetav1ac "github.com/cert-manager/cert-manager/pkg/client/applyconfigurations/meta/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// OperatorID is the SPIFFE ID of labguard itself: spiffe://<trust domain>/labguard/operator. It asks airlocks and may do nothing else; no allow list
// can name it.
func OperatorID(trustDomain string) string {
	id := url.URL{Scheme: "spiffe", Host: trustDomain, Path: v1alpha1.OperatorPath}
	return id.String()
}

// OperatorCertificate is the Certificate of labguard's own identity in its own namespace, from a ClusterIssuer.
func OperatorCertificate(namespace, trustDomain, clusterIssuer string) *cmv1ac.CertificateApplyConfiguration {
	return cmv1ac.Certificate(v1alpha1.OperatorCertificate, namespace).
		WithLabels(map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}).
		WithSpec(cmv1ac.CertificateSpec().
			WithSecretName(v1alpha1.OperatorSecret).
			WithIssuerRef(cmmetav1ac.IssuerReference().WithGroup(certmanager.GroupName).WithKind(cmv1.ClusterIssuerKind).WithName(clusterIssuer)).
			WithURIs(OperatorID(trustDomain)).
			WithDuration(metav1.Duration{Duration: certificateLifetime}).
			WithRenewBefore(metav1.Duration{Duration: certificateRenewBefore}).
			WithPrivateKey(cmv1ac.CertificatePrivateKey().
				WithAlgorithm(cmv1.ECDSAKeyAlgorithm).WithSize(certificateKeySize).WithEncoding(cmv1.PKCS8).WithRotationPolicy(cmv1.RotationPolicyAlways)).
			WithUsages(cmv1.UsageDigitalSignature, cmv1.UsageServerAuth, cmv1.UsageClientAuth).
			WithRevisionHistoryLimit(certificateRevisions))
}
