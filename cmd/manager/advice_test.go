// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestAClusterThatLacksAKindIsToldWhatToDo(t *testing.T) {
	missing := func(group, kind string) error {
		none := &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: group, Kind: kind}, SearchedVersions: []string{"v1"}}
		return fmt.Errorf("index the caches: %w", none)
	}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"labguard's own":   {missing("labguard.dev", "ImageRecord"), "run `kubectl apply --server-side -k config/crd`"},
		"an older cluster": {missing("admissionregistration.k8s.io", "MutatingAdmissionPolicy"), "Kubernetes 1.36 or later"},
		// Nothing fails for want of those.
		"cert-manager": {missing("cert-manager.io", "Certificate"), "index the caches"},
		"another":      {errors.New("refused"), "refused"},
	} {
		got := advised(test.err)
		if !strings.Contains(got.Error(), test.want) || !errors.Is(got, test.err) {
			t.Errorf("%s: %v, want %q", name, got, test.want)
		}
	}
	if err := advised(nil); err != nil {
		t.Errorf("a manager that ends well says %v", err)
	}
}
