// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/labguard/labguard/api/v1alpha1"
)

func TestPoliciesDoNotGrowWithoutEnd(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	kept := newPolicies(fake.NewClientBuilder().WithScheme(scheme).Build(), Config{})
	if err := kept.watch(t.Context(), &informertest.FakeInformers{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)
	most := 0
	for i := range 2*maxPolicies + 10 {
		if _, err := kept.of(t.Context(), fmt.Sprintf("namespace-%d", i), now); err != nil {
			t.Fatal(err)
		}
		most = max(most, len(kept.kept))
	}
	if most != maxPolicies || len(kept.kept) != 10 {
		t.Errorf("%d are kept at most, and %d at last", most, len(kept.kept))
	}
}
