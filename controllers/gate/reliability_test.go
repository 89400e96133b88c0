// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/served"
	"github.com/labguard/labguard/internal/desired/access"
	"github.com/labguard/labguard/internal/desired/gate"
	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/reliability"
)

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, cluster.WithCRDs("../../config/crd/bases")))
}

// steady is an authority that is never replaced.
type steady []byte

func (s steady) CABundle(context.Context) ([]byte, error) { return s, nil }

func TestTheGateSurvivesWhateverGoesWrong(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	env, err := reliability.Connect(cluster.Config(), nil, scheme)
	if err != nil {
		t.Fatal(err)
	}
	env.Keep = cluster.EndsWithTests()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		all := func(string) bool { return true }
		anchor := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: AnchorName}}
		if err := errors.Join(takeDown(ctx, env.Admin, all), client.IgnoreNotFound(env.Admin.Delete(ctx, anchor))); err != nil {
			t.Error(err)
		}
	})
	reliability.Run(t, env, theGate(authority(t, "one", time.Now().Add(365*24*time.Hour))))
}

// theGate stands for one namespace, then for two, and one of its objects is deleted by hand. A namespace that was listed stays listed after every write,
// also of a process whose first reads are older than the last write of the one before it.
func theGate(bundle []byte) reliability.Scenario {
	var lock sync.Mutex
	wasListed := map[*reliability.World]map[string]bool{}
	return reliability.Scenario{
		Always: func(ctx context.Context, w *reliability.World) error {
			live, err := standing(ctx, w.Admin, gate.ConfigurationName)
			if err != nil {
				return err
			}
			lock.Lock()
			defer lock.Unlock()
			if wasListed[w] == nil {
				wasListed[w] = map[string]bool{}
			}
			now := live.listed()
			for name := range wasListed[w] {
				if !slices.Contains(now, name) {
					return fmt.Errorf("namespace %s was listed and is not any more", name)
				}
			}
			for _, name := range now {
				wasListed[w][name] = true
			}
			return nil
		},
		Name:       "the gate",
		Namespaces: 2,
		Serial:     true,
		Arrange: func(ctx context.Context, w *reliability.World) error {
			// The policies of the sidecar, and the one that keeps records of break glass, are there already: their writes are like those of the gate, and twice as many writes are four times as many trials.
			// They stay from one trial to the next, and so does the anchor that owns them: the API server compiles each anew that is new.
			anchor := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: AnchorName}}
			if err := w.Admin.Create(ctx, anchor); apierrors.IsAlreadyExists(err) {
				err = w.Admin.Get(ctx, client.ObjectKeyFromObject(anchor), anchor)
				if err != nil {
					return err
				}
			} else if err != nil {
				return err
			}
			live, err := gatherFrom(ctx, w.Admin)
			if err != nil {
				return err
			}
			_, err = keeper(w, w.Admin, bundle).keepInjection(ctx, live, anchor.UID)
			if err == nil {
				_, err = keeper(w, w.Admin, bundle).keepAccess(ctx, live, gate.Config{LabguardUser: "labguard", AnchorName: AnchorName, AnchorUID: anchor.UID})
			}
			return errors.Join(err, w.Admin.Create(ctx, enforcing(w.Namespaces[0])))
		},
		Disturb: []reliability.Step{
			{Name: "another namespace and a policy deleted by hand", Do: func(ctx context.Context, w *reliability.World) error {
				binding := &admissionv1.MutatingAdmissionPolicyBinding{}
				return errors.Join(w.Admin.Create(ctx, enforcing(w.Namespaces[1])), w.Admin.DeleteAllOf(ctx, binding, ours))
			}},
		},
		New: func(w *reliability.World, c client.Client) []reliability.Controller {
			r := keeper(w, c, bundle)
			return []reliability.Controller{{Name: "gate", Reconcile: r.Reconcile, Requests: func(context.Context, *reliability.World) ([]reconcile.Request, error) {
				return []reconcile.Request{TheGate}, nil
			}}}
		},
		Snapshot: func(ctx context.Context, w *reliability.World) ([]client.Object, error) {
			anchor := &rbacv1.ClusterRole{}
			if err := w.Admin.Get(ctx, client.ObjectKey{Name: AnchorName}, anchor); err != nil {
				return nil, err
			}
			live, err := gatherFrom(ctx, w.Admin)
			if err != nil {
				return nil, err
			}
			return append(slices.Concat(live.webhooks(), live.policies()), anchor), nil
		},
		Normalize:   normalize,
		FieldOwners: []string{v1alpha1.FieldManager},
		Soon:        time.Minute, // how long labguard waits for a kind that is not served
		Cleanup: func(ctx context.Context, w *reliability.World) error {
			var failed error
			for _, name := range w.Namespaces { // the next trial begins before these namespaces are gone
				failed = errors.Join(failed, w.Admin.DeleteAllOf(ctx, &v1alpha1.LabWorkload{}, client.InNamespace(name)))
			}
			return errors.Join(failed, takeDown(ctx, w.Admin, func(name string) bool { return !staying()[name] }))
		},
	}
}

// staying are the names of the policies that stay from one trial to the next, and of their bindings.
func staying() map[string]bool {
	mutating, _ := injection.Injection(injection.Config{})
	names := map[string]bool{*mutating.Name: true, access.BreakGlassName: true}
	for _, guard := range injection.Guards(injection.Config{}) {
		names[*guard.Policy.Name] = true
		for _, binding := range guard.Bindings {
			names[*binding.Name] = true
		}
	}
	return names
}

// takeDown deletes what there is of the gate and of the sidecar's policies under some names.
func takeDown(ctx context.Context, admin client.Client, which func(name string) bool) error {
	live, err := gatherFrom(ctx, admin)
	if err != nil {
		return err
	}
	found := slices.DeleteFunc(slices.Concat(live.webhooks(), live.policies()), func(object client.Object) bool { return !which(object.GetName()) })
	return (&Reconciler{Client: admin}).delete(ctx, found)
}

// keeper keeps the gate of a trial.
func keeper(w *reliability.World, c client.Client, bundle []byte) *Reconciler {
	return &Reconciler{
		Client: c, Live: w.Admin, Served: served.ByMapper{Mapper: c.RESTMapper()}, Clock: w.Clock, Random: func() float64 { return 0 },
		Authority: steady(bundle), Namespace: metav1.NamespaceDefault,
		Gate: gate.Config{LabguardUser: "labguard", Endpoint: gate.Endpoint{URL: "https://localhost:9"}},
	}
}

var ours = client.MatchingLabels{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}

func enforcing(namespace string) *v1alpha1.LabWorkload {
	return &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "lis"},
		Spec: v1alpha1.LabWorkloadSpec{
			Selector:    metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}},
			Enforcement: v1alpha1.EnforcementEnforce, Images: &v1alpha1.ImagesSpec{MaxAge: "2160h"},
		},
	}
}

// normalize leaves out what Kubernetes says of an expression whenever it has looked at it, and the order of names.
func normalize(object *unstructured.Unstructured) {
	if object.GetKind() == "ValidatingAdmissionPolicy" {
		delete(object.Object, "status")
	}
	sortNames(object)
}

// sortNames undoes that names are sorted before they are the same in every trial.
func sortNames(object *unstructured.Unstructured) {
	webhooks, _, _ := unstructured.NestedSlice(object.Object, "webhooks")
	for _, webhook := range webhooks {
		fields, _ := webhook.(map[string]any)
		expressions, _, _ := unstructured.NestedSlice(fields, "namespaceSelector", "matchExpressions")
		for _, expression := range expressions {
			if one, isMap := expression.(map[string]any); isMap {
				if values, found, _ := unstructured.NestedStringSlice(one, "values"); found {
					slices.Sort(values)
					_ = unstructured.SetNestedStringSlice(one, values, "values")
				}
			}
		}
		if len(expressions) > 0 {
			_ = unstructured.SetNestedSlice(fields, expressions, "namespaceSelector", "matchExpressions")
		}
	}
	if len(webhooks) > 0 {
		_ = unstructured.SetNestedSlice(object.Object, webhooks, "webhooks")
	}
}
