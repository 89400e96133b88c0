// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package imagerecord

import (
	"context"
	"errors"
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, cluster.WithCRDs("../../config/crd/bases")))
}

func newScheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return scheme
}

// newClient is the administrator's client of the test's cluster.
func newClient(t testing.TB) client.WithWatch {
	t.Helper()
	admin, err := client.NewWithWatch(cluster.Config(), client.Options{Scheme: newScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return admin
}

// indexes gives a fake client the indexes of IndexFields.
type indexes struct{ *fake.ClientBuilder }

func (i indexes) IndexField(_ context.Context, object client.Object, field string, extract client.IndexerFunc) error {
	i.WithIndex(object, field, extract)
	return nil
}

// newFake is a client without an API server that has the indexes and some objects.
func newFake(t testing.TB, objects ...client.Object) client.WithWatch {
	t.Helper()
	builder := fake.NewClientBuilder().WithScheme(newScheme(t)).WithObjects(objects...).WithStatusSubresource(&v1alpha1.ImageRecord{}, &v1alpha1.LabWorkload{})
	if err := IndexFields(t.Context(), indexes{builder}); err != nil {
		t.Fatal(err)
	}
	return builder.Build()
}

// recordOf is the record of a content that the API carries.
func recordOf(t testing.TB, content posture.Content) *v1alpha1.ImageRecord {
	t.Helper()
	record, carried := RecordOf(content)
	if !carried {
		t.Fatalf("not carried: %+v", content)
	}
	return record
}
