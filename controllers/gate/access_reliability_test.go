// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/access"
	"github.com/labguard/labguard/internal/desired/gate"
	"github.com/labguard/labguard/internal/outcome"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/reliability"
)

func TestWhatAsksAboutPeopleSurvivesWhateverGoesWrong(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	// Nobody answers, and the trials change LabWorkloads where a login is asked for.
	config := cluster.Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: "sealed", Groups: []string{"system:masters", v1alpha1.BreakGlassGroup}}
	env, err := reliability.Connect(config, nil, scheme)
	if err != nil {
		t.Fatal(err)
	}
	env.Keep = cluster.EndsWithTests()
	t.Cleanup(func() {
		if err := takeDown(context.WithoutCancel(t.Context()), env.Admin, func(string) bool { return true }); err != nil {
			t.Error(err)
		}
	})
	reliability.Run(t, env, aboutPeople())
}

// keepsPeople keeps the objects about people, and nothing else of the gate.
func keepsPeople(r *Reconciler) reconcile.Func {
	return func(ctx context.Context, _ reconcile.Request) (ctrl.Result, error) {
		live, err := gatherFrom(ctx, r.Client)
		if err == nil {
			_, err = r.keepAccess(ctx, live, gate.Config{LabguardUser: "labguard", Endpoint: r.Gate.Endpoint})
		}
		return outcome.Result(err, time.Time{}, r.Clock.Now(), r.Random)
	}
}

// waysIn asks about ways into pods, and about itself.
func waysIn(namespace string) *v1alpha1.LabWorkload {
	return lab(namespace, mfa(func(m *v1alpha1.MFASpec) { m.Covers = []v1alpha1.AccessCover{v1alpha1.CoverAccess} }))
}

// aboutPeople asks in one namespace, then in two, and a binding is deleted by hand. What was guarded and asked about stays so after every write.
func aboutPeople() reliability.Scenario {
	var lock sync.Mutex
	was := map[*reliability.World]map[string]access.Namespace{}
	return reliability.Scenario{
		Name: "what asks about people", Namespaces: 2, Serial: true,
		Always: func(ctx context.Context, w *reliability.World) error {
			live, err := standing(ctx, w.Admin, access.Name)
			if err != nil {
				return err
			}
			lock.Lock()
			defer lock.Unlock()
			if was[w] == nil {
				was[w] = map[string]access.Namespace{}
			}
			now := map[string]access.Namespace{}
			for _, namespace := range live.listedForPeople() {
				now[namespace.Name] = namespace
			}
			for name, before := range was[w] {
				if now[name] != now[name].Stricter(before) {
					return fmt.Errorf("namespace %s was %+v and is %+v", name, before, now[name])
				}
			}
			was[w] = now
			return nil
		},
		Arrange: func(ctx context.Context, w *reliability.World) error {
			return w.Admin.Create(ctx, waysIn(w.Namespaces[0]))
		},
		Disturb: []reliability.Step{{Name: "another namespace and a binding deleted by hand", Do: func(ctx context.Context, w *reliability.World) error {
			binding := &admissionv1.ValidatingAdmissionPolicyBinding{}
			binding.Name = access.Name
			return errors.Join(w.Admin.Create(ctx, waysIn(w.Namespaces[1])), w.Admin.Delete(ctx, binding))
		}}},
		New: func(w *reliability.World, c client.Client) []reliability.Controller {
			return []reliability.Controller{{
				Name: "people", Reconcile: keepsPeople(keeper(w, c, nil)),
				Requests: func(context.Context, *reliability.World) ([]reconcile.Request, error) {
					return []reconcile.Request{TheGate}, nil
				},
			}}
		},
		Snapshot: func(ctx context.Context, w *reliability.World) ([]client.Object, error) {
			live, err := gatherFrom(ctx, w.Admin)
			if err != nil {
				return nil, err
			}
			return append(live.webhooks(), live.policies()...), nil
		},
		Normalize: normalizePeople,
		// The gate reads the same objects in the same place, and a binding is written right behind its policy, with errors of both joined.
		Elsewhere: func(verb reliability.Verb, kind string) bool {
			return verb == reliability.VerbList && kind != "IdentityProvider" && kind != "LabWorkload" || kind == "ValidatingAdmissionPolicyBinding"
		},
		FieldOwners: []string{v1alpha1.FieldManager},
		Soon:        time.Minute,
		Cleanup: func(ctx context.Context, w *reliability.World) error {
			var failed error
			for _, name := range w.Namespaces {
				failed = errors.Join(failed, w.Admin.DeleteAllOf(ctx, &v1alpha1.LabWorkload{}, client.InNamespace(name)))
			}
			return errors.Join(failed, takeDown(ctx, w.Admin, func(string) bool { return true }))
		},
	}
}

// standing reads the webhook configuration and the policy of a name, one by one: a list right after a write waits until the API server's cache has it.
func standing(ctx context.Context, admin client.Client, name string) (*objects, error) {
	var configuration admissionv1.ValidatingWebhookConfiguration
	var guard admissionv1.ValidatingAdmissionPolicy
	live := &objects{}
	if err := admin.Get(ctx, client.ObjectKey{Name: name}, &configuration); err == nil {
		live.validating.Items = append(live.validating.Items, configuration)
	} else if !apierrors.IsNotFound(err) {
		return nil, err
	}
	if err := admin.Get(ctx, client.ObjectKey{Name: name}, &guard); err == nil {
		live.validatingPolicies.Items = append(live.validatingPolicies.Items, guard)
	} else if !apierrors.IsNotFound(err) {
		return nil, err
	}
	return live, nil
}

// normalizePeople undoes that names are sorted in the condition of a policy as well.
func normalizePeople(object *unstructured.Unstructured) {
	normalize(object)
	conditions, found, _ := unstructured.NestedSlice(object.Object, "spec", "matchConditions")
	if !found {
		return
	}
	for _, condition := range conditions {
		fields, isMap := condition.(map[string]any)
		text, _ := fields["expression"].(string)
		before, list, isList := strings.Cut(strings.TrimSuffix(text, "]"), " in [")
		if !isMap || fields["name"] != "governed" || !isList {
			continue
		}
		names := strings.Split(list, ", ")
		slices.Sort(names)
		fields["expression"] = before + " in [" + strings.Join(names, ", ") + "]"
	}
	_ = unstructured.SetNestedSlice(object.Object, conditions, "spec", "matchConditions")
}
