// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

func direct(t *testing.T) client.WithWatch {
	t.Helper()
	c, err := client.NewWithWatch(cluster.Config(), client.Options{Scheme: newScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// removed takes an object without a namespace away when the test ends.
func removed(t *testing.T, c client.Client, object client.Object) {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Delete(context.WithoutCancel(t.Context()), object); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	})
}

func TestAProofIsAFieldOfItsOwnManager(t *testing.T) {
	c, lab := direct(t), provider("own-manager", "https://own-manager.example")
	if err := c.Create(t.Context(), lab); err != nil {
		t.Fatal(err)
	}
	removed(t, c, lab)
	proofs, r := NewProofs(c, c, testclock.NewFakeClock(noon)), &Providers{Client: c, Clock: testclock.NewFakeClock(noon), Random: noJitter, Recorder: &told{}}
	step := func(do func() error) {
		t.Helper()
		if err := do(); err != nil {
			t.Fatal(err)
		}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(lab), lab); err != nil {
			t.Fatal(err)
		}
	}
	look := func() error {
		_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(lab)})
		return err
	}
	step(func() error { return proofs.note(t.Context(), lab.Spec.Issuer, sighting{noon, lab.Generation}) })
	if lab.Status.ClaimsSeenAt == nil || !lab.Status.ClaimsSeenAt.Time.Equal(noon.Truncate(time.Hour)) {
		t.Errorf("noted is %v", lab.Status.ClaimsSeenAt)
	}
	step(look)
	names := managers(lab)
	slices.Sort(names)
	if diff := cmp.Diff([]string{v1alpha1.FieldManager, ProofManager}, names); diff != "" || lab.Status.ClaimsSeenAt == nil || len(lab.Status.Conditions) != 1 {
		t.Errorf("the status is %+v, of (-want +got):\n%s", lab.Status, diff)
	}
	version := lab.ResourceVersion
	step(func() error {
		return proofs.note(t.Context(), lab.Spec.Issuer, sighting{noon.Add(time.Minute), lab.Generation})
	})
	step(look)
	if lab.ResourceVersion != version {
		t.Error("a second look writes")
	}
	step(func() error {
		lab.Spec.ClaimKeys.Methods = "lab.example/amr"
		return c.Update(t.Context(), lab)
	})
	step(look) // which withdraws it
	step(look)
	if lab.Status.ClaimsSeenAt != nil || lab.Status.Conditions[0].Status != metav1.ConditionFalse || lab.Status.Conditions[0].ObservedGeneration != lab.Generation {
		t.Errorf("after a change of keys the status is %+v", lab.Status)
	}
}

func TestUsesAreWhatTheAPITakes(t *testing.T) {
	c, namespace := direct(t), cluster.Namespace(t)
	u := NewUses(c, c, &told{}, testclock.NewFakeClock(noon), namespace)
	used := func(at time.Time) {
		t.Helper()
		request := exec(at)
		request.Name = "" // as of something that the API server is to name
		u.Used(namespace, "CN=night, O=lab", request)
		flush(t, u, namespace, "CN=night, O=lab")
	}
	list := func() []v1alpha1.BreakGlassUse {
		t.Helper()
		var uses v1alpha1.BreakGlassUseList
		if err := c.List(t.Context(), &uses, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		return uses.Items
	}
	used(noon)
	used(noon.Add(time.Minute))
	uses := list()
	if len(uses) != 1 || uses[0].Spec.Count != 2 || len(uses[0].Spec.Requests) != 2 {
		t.Fatalf("got %+v", uses)
	}
	uses[0].Spec.Acknowledgement = &v1alpha1.BreakGlassAcknowledgement{By: "anna", Reason: "the LIS was down"}
	if err := c.Update(t.Context(), &uses[0]); err != nil {
		t.Fatal(err)
	}
	used(noon.Add(time.Hour))
	if len(list()) != 2 {
		t.Errorf("got %+v", list())
	}
}

func TestRightsAreReadFromTheAPIServer(t *testing.T) {
	c, namespace := direct(t), cluster.Namespace(t)
	role, binding := clusterRole("read-the-rights-of", nodesProxy), bound("read-the-rights-of", "mallory")
	role.Annotations = map[string]string{"heavy": "yes"}
	for _, object := range []client.Object{asks(namespace, &v1alpha1.MFASpec{MaxAge: "12h"}), role} {
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	removed(t, c, role)
	options := RightsCacheOptions()
	options.Scheme = newScheme(t)
	bindings, err := cache.New(cluster.Config(), options)
	if err != nil {
		t.Fatal(err)
	}
	clock := testclock.NewFakeClock(noon)
	r := NewRights(c, bindings, RightsConfig{}, clock)
	r.live = c
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Start(ctx) }()
	holds := func() bool {
		report, known := r.Report()
		return known && slices.Contains(found(report), "NodesProxy mallory")
	}
	eventually(t, clock, func() bool { _, known := r.Report(); return known })
	if holds() {
		t.Error("a right that nobody holds yet is found")
	}
	if err := c.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	eventually(t, clock, holds)
	var cached rbacv1.ClusterRole
	if err := bindings.Get(ctx, client.ObjectKeyFromObject(role), &cached); err != nil || len(cached.Annotations) != 0 || len(cached.ManagedFields) != 0 {
		t.Errorf("the cache keeps %+v, %v", cached.ObjectMeta, err)
	}
	if err := c.Delete(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	eventually(t, clock, func() bool { _, known := r.Report(); return known && !holds() })
	eventually(t, clock, func() bool { same, err := r.compare(ctx); return same && err == nil })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
