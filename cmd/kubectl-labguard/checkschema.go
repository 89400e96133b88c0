// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/config/crd"
	"github.com/labguard/labguard/internal/plugin/check"
)

// schemas say of objects of labguard's kinds what the API server would, by the definitions that belong to this version of the plugin. Those of a kind are
// read when the first object of it is there.
type schemas struct {
	definitions map[string]*apiextensions.CustomResourceDefinition
	ready       map[string]*kindSchema
}

type kindSchema struct {
	structural *schema.Structural
	values     validation.SchemaValidator
	rules      *cel.Validator
}

func newSchemas() (*schemas, error) {
	s := &schemas{definitions: map[string]*apiextensions.CustomResourceDefinition{}, ready: map[string]*kindSchema{}}
	return s, fs.WalkDir(crd.Bases, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := crd.Bases.ReadFile(path)
		if err != nil {
			return err
		}
		var written apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(content, &written); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		read := &apiextensions.CustomResourceDefinition{}
		if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&written, read, nil); err != nil {
			return fmt.Errorf("convert %s: %w", path, err)
		}
		s.definitions[read.Spec.Names.Kind] = read
		return nil
	})
}

// clusterWide says whether the objects of a kind lie in no namespace.
func (s *schemas) clusterWide(kind string) bool {
	definition := s.definitions[kind]
	return definition != nil && definition.Spec.Scope == apiextensions.ClusterScoped
}

// served are the versions of a kind, as manifests write them.
func (s *schemas) served(kind string) []string {
	definition := s.definitions[kind]
	var all []string
	for i := range definition.Spec.Versions {
		if one := &definition.Spec.Versions[i]; one.Served {
			all = append(all, definition.Spec.Group+"/"+one.Name)
		}
	}
	return all
}

// of is the schema of a kind; nil if labguard has no such kind.
func (s *schemas) of(kind string) (*kindSchema, error) {
	definition := s.definitions[kind]
	if s.ready[kind] != nil || definition == nil {
		return s.ready[kind], nil
	}
	root := definition.Spec.Validation
	if root == nil {
		root = definition.Spec.Versions[0].Schema
	}
	structural, err := schema.NewStructural(root.OpenAPIV3Schema)
	if err != nil {
		return nil, fmt.Errorf("read the schema of %s: %w", kind, err)
	}
	values, _, err := validation.NewSchemaValidator(root.OpenAPIV3Schema)
	if err != nil {
		return nil, fmt.Errorf("read the schema of %s: %w", kind, err)
	}
	s.ready[kind] = &kindSchema{structural: structural, values: values, rules: cel.NewValidator(structural, true, celconfig.PerCallLimit)}
	return s.ready[kind], nil
}

// invalid gives an object with the defaults of its kind, and what is wrong with it.
func (s *schemas) invalid(ctx context.Context, object *check.Object) ([]byte, []check.FieldProblem) {
	wrong := func(err error) ([]byte, []check.FieldProblem) {
		return object.JSON(), []check.FieldProblem{{Text: err.Error()}}
	}
	kind, err := s.of(object.Kind)
	if err != nil {
		return wrong(err)
	}
	if kind == nil {
		return wrong(fmt.Errorf("there is no kind %s in %s: is it from a later version of labguard?", object.Kind, object.APIVersion))
	}
	if served := s.served(object.Kind); !slices.Contains(served, object.APIVersion) {
		return object.JSON(), []check.FieldProblem{{
			Path: []any{"apiVersion"}, Text: fmt.Sprintf("%s is not served, only %s: an API server would refuse it", object.APIVersion, strings.Join(served, ", ")),
		}}
	}
	var fields map[string]any
	if err := json.Unmarshal(object.JSON(), &fields); err != nil {
		return wrong(err)
	}
	var problems []check.FieldProblem
	for _, path := range pruning.PruneWithOptions(fields, kind.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		problems = append(problems, check.FieldProblem{Path: fieldPath(path), Text: "there is no such field"})
	}
	if object.Name == "" {
		problems = append(problems, check.FieldProblem{Path: []any{"metadata", "name"}, Text: "it has no name"})
	}
	defaulting.Default(fields, kind.structural)
	found := validation.ValidateCustomResource(nil, fields, kind.values)
	found = append(found, listtype.ValidateListSetsAndMaps(nil, kind.structural, fields)...)
	if len(found) == 0 { // the API server asks the rules of what is of the right form
		found, _ = kind.rules.Validate(ctx, nil, kind.structural, fields, nil, celconfig.RuntimeCELCostBudget)
	}
	for _, one := range found {
		problems = append(problems, check.FieldProblem{Path: fieldPath(one.Field), Text: fieldText(one)})
	}
	completed, err := json.Marshal(fields)
	if err != nil {
		return wrong(err)
	}
	return completed, problems
}

// fieldText is an error without its path.
func fieldText(one *field.Error) string {
	return strings.TrimPrefix(one.ErrorBody(), "Invalid value: ")
}

// fieldPath reads a path as the API server writes it, such as spec.images.exempt[0].pattern.
func fieldPath(text string) []any {
	var path []any
	if text == "" || text == "<nil>" {
		return nil
	}
	for part := range strings.SplitSeq(strings.ReplaceAll(text, "[", ".["), ".") {
		inner, isKey := strings.CutPrefix(part, "[")
		inner = strings.TrimSuffix(inner, "]")
		if at, err := strconv.Atoi(inner); isKey && err == nil {
			path = append(path, at)
			continue
		}
		if inner != "" {
			path = append(path, inner)
		}
	}
	return path
}
