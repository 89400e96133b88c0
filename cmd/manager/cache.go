// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/gate"
	"github.com/labguard/labguard/controllers/inventory"
)

// newScheme knows the kinds of Kubernetes, labguard and cert-manager.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, certmanagerv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return scheme, nil
}

// cacheOptions keep of each kind only the objects and fields that are used: no environment of any pod, no configuration of other webhooks.
func cacheOptions() cache.Options {
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue})}
	strip := cache.ByObject{Transform: inventory.Strip}
	return cache.Options{
		DefaultTransform: inventory.StripManagedFields,
		ByObject: map[client.Object]cache.ByObject{
			&appsv1.Deployment{}: strip, &appsv1.StatefulSet{}: strip, &appsv1.DaemonSet{}: strip, &appsv1.ReplicaSet{}: strip,
			&corev1.ReplicationController{}: strip, &batchv1.Job{}: strip, &batchv1.CronJob{}: strip, &corev1.Pod{}: strip,
			&corev1.Node{}: {Transform: inventory.StripNode},

			// ClusterTrustBundles are not listed here: a cluster that serves none would not be started in.
			&corev1.ConfigMap{}: ours,

			&admissionv1.MutatingWebhookConfiguration{}: ours, &admissionv1.ValidatingWebhookConfiguration{}: ours,
			&admissionv1.MutatingAdmissionPolicy{}: ours, &admissionv1.MutatingAdmissionPolicyBinding{}: ours,
			&admissionv1.ValidatingAdmissionPolicy{}: ours, &admissionv1.ValidatingAdmissionPolicyBinding{}: ours,

			&rbacv1.ClusterRole{}:        {Field: fields.OneTermEqualSelector("metadata.name", gate.AnchorName)},
			&discoveryv1.EndpointSlice{}: {Namespaces: map[string]cache.Config{metav1.NamespaceDefault: {}}},
		},
	}
}
