// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"sigs.k8s.io/yaml"
)

// definition is the schema of a kind, as the API server gets it.
type definition struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
}

func definitionOf(t *testing.T, kind string) definition {
	t.Helper()
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal([]byte(read(t, "../../config/crd/bases/labguard.dev_"+kind+"s.yaml")), &crd); err != nil {
		t.Fatal(err)
	}
	var internal apiextensions.CustomResourceValidation
	if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(crd.Spec.Versions[0].Schema, &internal, nil); err != nil {
		t.Fatal(err)
	}
	structural, err := schema.NewStructural(internal.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	validator, _, err := validation.NewSchemaValidator(internal.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	return definition{structural, validator}
}

func TestTheAPIServerCouldStoreEveryState(t *testing.T) {
	for kind := range allStates() {
		definition := definitionOf(t, kind)
		files, err := filepath.Glob(filepath.Join("testdata", kind, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files of %s: %v", len(files), kind, err)
		}
		for _, file := range files {
			object := load(t, file)
			before := object.DeepCopy()
			pruning.Prune(object.Object, definition.structural, true)
			if diff := cmp.Diff(before, object); diff != "" {
				t.Errorf("%s has what its kind has not (-file +pruned):\n%s", file, diff)
			}
			for _, problem := range validation.ValidateCustomResource(nil, object.Object, definition.validator) {
				t.Errorf("%s: %v", file, problem)
			}
		}
	}
}

// Without it kstatus would call a LabWorkload current that labguard has never seen.
func TestTheAPIServerGivesAFreshLabWorkloadTheStatusOfTheTable(t *testing.T) {
	object := load(t, "testdata/labworkload/ready.yaml")
	want := object.DeepCopy()
	defaulted(want)
	withoutStatus(object)
	defaulting.Default(object.Object, definitionOf(t, "labworkload").structural)
	if diff := cmp.Diff(want.Object["status"], object.Object["status"]); diff != "" {
		t.Errorf("the status of a fresh LabWorkload (-table +CRD):\n%s", diff)
	}
}
