// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/labguard/labguard/api/v1alpha1"
)

// advised says what to do about a cluster that lacks a kind without which labguard cannot run.
func advised(err error) error {
	missing := (*meta.NoKindMatchError)(nil)
	if !errors.As(err, &missing) {
		return err
	}
	switch missing.GroupKind.Group {
	case v1alpha1.GroupVersion.Group:
		return fmt.Errorf("the cluster lacks definitions of labguard's kinds: run `kubectl apply --server-side -k config/crd` from a checkout of this version, "+
			"or leave crds.install of the Helm chart at true: %w", err)
	case admissionregistrationv1.GroupName:
		return fmt.Errorf("labguard needs Kubernetes 1.36 or later, with every kind of admissionregistration.k8s.io/v1 served: %w", err)
	default:
		return err
	}
}
