// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package served

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

const certificates = "certificates.cert-manager.io"

// server is an API server with or without cert-manager.
type server struct {
	meta.RESTMapper
	*testing.T
	client client.Client
	serves bool
	// hitch is what it answers to everything, if not nil.
	hitch error
	told  []bool
	// deaf is what the listener answers, if not nil.
	deaf error
}

func (s *server) RESTMapping(kind schema.GroupKind, _ ...string) (*meta.RESTMapping, error) {
	switch {
	case s.hitch != nil:
		return nil, s.hitch
	case kind == Certificate && s.serves:
		return &meta.RESTMapping{}, nil
	default:
		return nil, &meta.NoKindMatchError{GroupKind: kind}
	}
}

func newServer(t *testing.T) (*server, *Kinds) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	s := &server{T: t}
	s.client = fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			if s.hitch != nil {
				return s.hitch
			}
			return c.Get(ctx, key, object, options...)
		},
	}).Build()
	kinds := &Kinds{Reader: s.client, Mapper: s}
	kinds.OnChange(func(_ context.Context, kind schema.GroupKind) error {
		s.told = append(s.told, kinds.Serves(kind))
		return s.deaf
	})
	return s, kinds
}

// define creates the definition; the kind is served some time later.
func (s *server) define() {
	s.Helper()
	definition := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: certificates}}
	if err := s.client.Create(s.Context(), definition); err != nil {
		s.Fatal(err)
	}
}

func (s *server) look(kinds *Kinds) (ctrl.Result, error) {
	return kinds.Reconcile(s.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Name: certificates}})
}

func (s *server) want(kinds *Kinds, serves bool, told ...bool) {
	s.Helper()
	if got := kinds.Serves(Certificate); got != serves {
		s.Errorf("served: %t, want %t", got, serves)
	}
	if diff := cmp.Diff(told, s.told); diff != "" {
		s.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestAStartingProcessKnowsWhatIsServedBeforeItLooksAtDefinitions(t *testing.T) {
	s, kinds := newServer(t)
	s.serves = true
	s.define()
	if err := kinds.learn(); err != nil {
		t.Fatal(err)
	}
	s.want(kinds, true)
	for range 2 {
		if result, err := s.look(kinds); err != nil || result.RequeueAfter != 0 {
			t.Errorf("got %v, %v", result, err)
		}
		s.want(kinds, true, true)
	}
	if engines := kinds.PolicyEngines(); len(engines) > 0 {
		t.Errorf("engines %v", engines)
	}
}

func TestAProcessThatCannotAskDoesNotStart(t *testing.T) {
	s, kinds := newServer(t)
	s.hitch = context.DeadlineExceeded
	if err := kinds.learn(); !errors.Is(err, s.hitch) {
		t.Errorf("got %v", err)
	}
}

func TestAKindComesAndGoes(t *testing.T) {
	s, kinds := newServer(t)
	if err := kinds.learn(); err != nil {
		t.Fatal(err)
	}
	s.want(kinds, false)
	s.define()
	if result, err := s.look(kinds); err != nil || result.RequeueAfter != settle {
		t.Errorf("defined and not served: got %v, %v; want another look", result, err)
	}
	s.want(kinds, false)
	s.serves, s.deaf = true, errors.New("no informer")
	if _, err := s.look(kinds); !errors.Is(err, s.deaf) {
		t.Errorf("a listener that failed: got %v", err)
	}
	s.deaf = nil
	if _, err := s.look(kinds); err != nil {
		t.Error(err)
	}
	s.want(kinds, true, true, true)
	s.hitch = context.DeadlineExceeded
	if _, err := s.look(kinds); !errors.Is(err, s.hitch) {
		t.Errorf("a hitch: got %v", err)
	}
	s.want(kinds, true, true, true)
	s.hitch = nil
	if err := s.client.Delete(t.Context(), &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: certificates}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.look(kinds); err != nil {
			t.Error(err)
		}
	}
	s.want(kinds, false, true, true, false)
}

func TestWhatWasServedAtTheStartAndIsGoneByTheFirstLookIsTold(t *testing.T) {
	s, kinds := newServer(t)
	s.serves = true
	if err := kinds.learn(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.look(kinds); err != nil {
		t.Error(err)
	}
	s.want(kinds, false, false)
}
