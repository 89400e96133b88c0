// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	certificatesac "k8s.io/client-go/applyconfigurations/certificates/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// TrustBundle is the name of the bundle of a trust domain: of its ClusterTrustBundle and of its key in the ConfigMap of bundles.
func TrustBundle(trustDomain string) string { return v1alpha1.TrustBundlePrefix + trustDomain }

// AuthorityBundle is the name of the bundle of an external authority.
func AuthorityBundle(name string) string { return v1alpha1.AuthorityBundlePrefix + name }

// ClusterTrustBundle is a bundle that no tenant can write. It names no signer: whoever may write it needs no right over one.
func ClusterTrustBundle(name, roots, leaving string) *certificatesac.ClusterTrustBundleApplyConfiguration {
	bundle := certificatesac.ClusterTrustBundle(name).
		WithLabels(map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}).
		WithSpec(certificatesac.ClusterTrustBundleSpec().WithTrustBundle(roots))
	if leaving != "" {
		bundle.WithAnnotations(map[string]string{v1alpha1.LeavingAnnotation: leaving})
	}
	return bundle
}

// TrustConfigMap is all bundles in a namespace, by name.
func TrustConfigMap(namespace string, bundles map[string]string, leaving string) *corev1ac.ConfigMapApplyConfiguration {
	object := corev1ac.ConfigMap(v1alpha1.TrustConfigMap, namespace).
		WithLabels(map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}).
		WithData(bundles)
	if leaving != "" {
		object.WithAnnotations(map[string]string{v1alpha1.LeavingAnnotation: leaving})
	}
	return object
}
