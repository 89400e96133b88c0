// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of all kinds in this package.
var GroupVersion = schema.GroupVersion{Group: "labguard.dev", Version: "v1alpha1"}

// SchemeGroupVersion is GroupVersion under the name that generated code uses.
var SchemeGroupVersion = GroupVersion

var (
	// SchemeBuilder collects the functions that add the kinds of this package to a scheme.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)
	// AddToScheme adds the kinds of this package to a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&LabWorkload{}, &LabWorkloadList{},
		&RolloutRecord{}, &RolloutRecordList{},
		&ImageRecord{}, &ImageRecordList{},
		&AirlockProfile{}, &AirlockProfileList{},
		&TrainingRecord{}, &TrainingRecordList{},
		&IdentityProvider{}, &IdentityProviderList{},
		&BreakGlassUse{}, &BreakGlassUseList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
