// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	certmanagermetav1 "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"

	"github.com/labguard/labguard/internal/desired/injection"
)

// references are the paths at which a type of cert-manager's names Secrets, without the elements of lists.
func references(kind reflect.Type, path []string) [][]string {
	switch kind.Kind() {
	case reflect.Pointer, reflect.Slice:
		return references(kind.Elem(), path)
	case reflect.Struct:
	default:
		if name := path[len(path)-1]; kind.Kind() == reflect.String && name == "secretName" {
			return [][]string{path}
		}
		return nil
	}
	if kind == reflect.TypeFor[certmanagermetav1.SecretKeySelector]() || kind == reflect.TypeFor[certmanagermetav1.LocalObjectReference]() {
		return [][]string{append(slices.Clone(path), "name")}
	}
	if !strings.HasPrefix(kind.PkgPath(), "github.com/cert-manager/") {
		return nil // parts of pods and of Gateways
	}
	var found [][]string
	for field := range kind.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			found = append(found, references(field.Type, path)...)
			continue
		}
		found = append(found, references(field.Type, append(slices.Clone(path), name))...)
	}
	return found
}

// An Issuer has cert-manager send what is in a Secret to a server that whoever writes the Issuer names. A release of cert-manager with another such field fails here.
func TestNoReferenceOfAnIssuerIsForgotten(t *testing.T) {
	reserved := injection.Reserved(full())
	var rules strings.Builder
	for _, validation := range reserved.Policy.Spec.Validations {
		rules.WriteString(*validation.Expression + "\n")
	}
	paths := references(reflect.TypeFor[certmanagerv1.IssuerSpec](), []string{"spec"})
	if len(paths) < 20 {
		t.Fatalf("only %d references: %v", len(paths), paths)
	}
	for _, path := range paths {
		if at := slices.Index(path, "dns01"); at >= 0 {
			path = path[at:] // of each solver
		}
		if !strings.Contains(rules.String(), ".?"+strings.Join(path, ".?")+".orValue('')") {
			t.Errorf("no rule looks at %s", strings.Join(path, "."))
		}
	}
}
