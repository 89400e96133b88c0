// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/injection"
)

func sidecar(stage v1alpha1.TransitStage) func(*v1alpha1.LabWorkloadSpec) {
	return func(spec *v1alpha1.LabWorkloadSpec) {
		spec.Images = nil
		spec.Encryption = &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{Provider: v1alpha1.TransitProviderSidecar, Stage: stage}}
	}
}

func TestNamespacesWithASidecarAreGoverned(t *testing.T) {
	r := newRegister(t)
	r.declare("permissive", sidecar(""))
	r.declare("strict", sidecar(v1alpha1.TransitStageStrict))
	r.declare("observes", sidecar(v1alpha1.TransitStageObserve))
	r.declare("images")
	r.declare("cert-manager", sidecar(""))
	r.declare("application", sidecar(""), func(spec *v1alpha1.LabWorkloadSpec) {
		spec.Encryption.InTransit.Provider = v1alpha1.TransitProviderApplication
	})
	r.declare("audits", sidecar(""), func(spec *v1alpha1.LabWorkloadSpec) { spec.Enforcement = v1alpha1.EnforcementAudit })
	r.declare("tomorrow", sidecar(""), func(spec *v1alpha1.LabWorkloadSpec) {
		spec.EnforceAfter = instant.Add(24 * time.Hour).Format(time.RFC3339)
	})
	left := &v1alpha1.AirlockProfile{ObjectMeta: metav1.ObjectMeta{Namespace: "left", Name: "labguard-lis"}}
	excluded := &v1alpha1.AirlockProfile{ObjectMeta: metav1.ObjectMeta{Namespace: "cert-manager", Name: "labguard-lis"}}
	for _, profile := range []client.Object{left, excluded} {
		if err := r.reconciler.Create(t.Context(), profile); err != nil {
			t.Fatal(err)
		}
	}
	names, next, err := r.reconciler.governed(t.Context())
	if diff := cmp.Diff([]string{"left", "permissive", "strict"}, names); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if want := instant.Add(24 * time.Hour); !next.Equal(want) {
		t.Errorf("the next change is %s, want %s", next, want)
	}
	r.clock.SetTime(instant.Add(24 * time.Hour))
	if names, _, _ := r.reconciler.governed(t.Context()); len(names) != 4 {
		t.Errorf("a day later: %v", names)
	}
}

type serves bool

func (s serves) Serves(schema.GroupKind) bool { return bool(s) }

// answers is an API server that gives one answer.
type answers struct {
	client.Reader
	err error
}

func (a answers) List(context.Context, client.ObjectList, ...client.ListOption) error { return a.err }

func TestTheKindIsMissingOnlyIfTheAPIServerSaysSo(t *testing.T) {
	for name, test := range map[string]struct {
		serves        serves
		err           error
		missing, fail bool
	}{
		"served":                       {serves: true, err: context.DeadlineExceeded},
		"not looked at yet":            {},
		"gone":                         {err: &meta.NoKindMatchError{}, missing: true},
		"gone a moment ago":            {err: apierrors.NewNotFound(schema.GroupResource{}, ""), missing: true},
		"an API server that is silent": {err: context.DeadlineExceeded, fail: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Reconciler{Served: test.serves, Live: answers{err: test.err}}
			missing, err := r.kindMissing(t.Context())
			if missing != test.missing || (err != nil) != test.fail {
				t.Errorf("missing %t, %v", missing, err)
			}
		})
	}
}

// written are the objects of the guards as an API server has them.
func written(t *testing.T, config injection.Config) []client.Object {
	t.Helper()
	pairs := map[client.Object]any{}
	for _, guard := range injection.Guards(config) {
		pairs[&admissionv1.ValidatingAdmissionPolicy{}] = guard.Policy
		for _, binding := range guard.Bindings {
			pairs[&admissionv1.ValidatingAdmissionPolicyBinding{}] = binding
		}
	}
	mutating, binding := injection.Injection(config)
	pairs[&admissionv1.MutatingAdmissionPolicy{}], pairs[&admissionv1.MutatingAdmissionPolicyBinding{}] = mutating, binding
	var objects []client.Object
	for object, configuration := range pairs {
		encoded, err := json.Marshal(configuration)
		if err == nil {
			err = json.Unmarshal(encoded, object)
		}
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
	return objects
}

func TestGuardsStandWhereAllOfThemNameTheNamespace(t *testing.T) {
	without := func(name string, objects []client.Object) []client.Object {
		return slices.DeleteFunc(objects, func(object client.Object) bool {
			switch object.(type) {
			case *admissionv1.ValidatingAdmissionPolicyBinding, *admissionv1.MutatingAdmissionPolicyBinding:
				return object.GetName() == name
			default:
				return false
			}
		})
	}
	config := injection.Config{Namespaces: []string{"pathology", "radiology"}, LabguardUser: "labguard"}
	missing := config
	missing.KindMissing = true
	for name, test := range map[string]struct {
		objects   []client.Object
		namespace string
		stand     bool
	}{
		"named":                  {written(t, config), "pathology", true},
		"another namespace":      {written(t, config), "oncology", false},
		"no namespace":           {written(t, injection.Config{LabguardUser: "labguard"}), "pathology", false},
		"nothing is written yet": {nil, "pathology", false},
		"not bound":              {without(injection.ReservedName, written(t, config)), "pathology", false},
		"pods may read":          {without(injection.ReadersName, written(t, config)), "pathology", false},
		"claims are not bound":   {without(injection.ClaimsName, written(t, config)), "pathology", false},
		"nothing is added":       {without(injection.InjectionName, written(t, config)), "pathology", false},
		"updates are not bound":  {without(injection.RelabelledName, written(t, config)), "pathology", false},
		"the kind is missing":    {written(t, missing), "pathology", false},
	} {
		t.Run(name, func(t *testing.T) {
			guards := Guards{Reader: fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(test.objects...).Build()}
			if stand, err := guards.Stand(t.Context(), test.namespace); err != nil || stand != test.stand {
				t.Errorf("they stand: %t, %v; want %t", stand, err, test.stand)
			}
		})
	}
}
