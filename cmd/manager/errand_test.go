// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/gate"
)

// Whoever uninstalls hears it, and not the laboratory at its next drain.
func TestTheGateStaysWhileSomebodyIsAtStrict(t *testing.T) {
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	anchor := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: gate.AnchorName}}
	profile := func(name string, stage v1alpha1.TransitStage) client.Object {
		return &v1alpha1.AirlockProfile{
			ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "labguard-" + name}, Spec: v1alpha1.AirlockProfileSpec{LabWorkload: name, Stage: stage},
		}
	}
	both := fake.NewClientBuilder().WithScheme(scheme).WithObjects(anchor, profile("lis", v1alpha1.TransitStageStrict), profile("portal", v1alpha1.TransitStagePermissive)).Build()
	if err := takeDown(t.Context(), both); err == nil || !strings.Contains(err.Error(), "LabWorkload pathology/lis,") || strings.Contains(err.Error(), "portal") {
		t.Errorf("with one at Strict: %v", err)
	}
	if err := both.Get(t.Context(), client.ObjectKeyFromObject(anchor), &rbacv1.ClusterRole{}); err != nil {
		t.Errorf("the anchor of the gate: %v", err)
	}
	permissive := fake.NewClientBuilder().WithScheme(scheme).WithObjects(profile("portal", v1alpha1.TransitStagePermissive)).Build()
	if err := noneStrict(t.Context(), permissive); err != nil {
		t.Errorf("with nobody at Strict: %v", err)
	}
}
