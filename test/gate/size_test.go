// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/internal/desired/gate"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

// anchor makes the cluster-scoped object that owns the gate.
func (l lab) anchor(name string) types.UID {
	l.Helper()
	roles := l.Typed("").RbacV1().ClusterRoles()
	role, err := roles.Create(l.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	l.Must(err)
	l.Afterwards(func(ctx context.Context) error { return roles.Delete(ctx, name, metav1.DeleteOptions{}) })
	return role.UID
}

// names gives count names that sort before those of the test's namespaces.
func names(count int) []string {
	all := make([]string, 0, count)
	for i := range count {
		all = append(all, fmt.Sprintf("lab-of-some-length-%04d", i))
	}
	return all
}

func TestNamespaceBeyondTheFirstThousandIsGated(t *testing.T) {
	l := newLab(t)
	config := l.config(deadEndpoint)
	config.Namespaces = append(config.Namespaces, names(gate.NamespacesPerConfiguration)...)
	if got := len(gate.MutatingWebhooks(config)); got != 2 {
		t.Fatalf("%d configurations", got)
	}
	l.installWebhooks(config)
	l.Eventually("the gate closes", func(ctx context.Context) (bool, error) { return l.probe(ctx) != nil, nil })
	l.asked(l.create(l.Tenant, deployments, deployments.object("app", imageOne)))
	l.Must(l.Typed("").AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(t.Context(), "labguard-rollouts-2."+l.Namespace, metav1.DeleteOptions{}))
	l.Must(l.Typed("").AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(t.Context(), "labguard-rollouts-2."+l.Namespace, metav1.DeleteOptions{}))
	l.Eventually("the first configuration alone does not list it", func(ctx context.Context) (bool, error) { return l.probe(ctx) == nil, nil })
}

// The last namespace is delisted by an apply that removes the webhooks, not the configuration.
func TestApplyWithoutNamespacesOpensTheGate(t *testing.T) {
	l := newLab(t)
	l.kill()
	config := l.config(deadEndpoint)
	config.Namespaces = nil
	l.installWebhooks(config)
	l.Eventually("the gate opens", func(ctx context.Context) (bool, error) { return l.probe(ctx) == nil, nil })
	kept, err := l.Typed("").AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), "labguard-rollouts."+l.Namespace, metav1.GetOptions{})
	l.Must(err)
	if len(kept.Webhooks) > 0 {
		t.Errorf("%d webhooks are left", len(kept.Webhooks))
	}
}

// huge gives an object near to what the API server takes: 100 containers with 30 variables each and 300 volumes.
func (k kind) huge(l lab, name string) *unstructured.Unstructured {
	l.Helper()
	const containers, variables, volumes = 100, 30, 300
	object := k.object(name, imageOne)
	env := make([]any, 0, variables)
	for i := range variables {
		env = append(env, map[string]any{"name": fmt.Sprintf("VARIABLE_%d", i), "value": strings.Repeat("x", 20)})
	}
	all := []any{}
	for i := range containers {
		all = append(all, map[string]any{"name": fmt.Sprintf("app-%d", i), "image": reference(i, 1), "env": env})
	}
	disks := make([]any, 0, volumes)
	for i := range volumes {
		disks = append(disks, map[string]any{"name": fmt.Sprintf("disk-%d", i), "emptyDir": map[string]any{}})
	}
	l.Must(unstructured.SetNestedSlice(object.Object, all, append(slices.Clone(k.path), "containers")...))
	l.Must(unstructured.SetNestedSlice(object.Object, disks, append(slices.Clone(k.path), "volumes")...))
	return object
}

// reference is that of one of many images.
func reference(image, tag int) string {
	return fmt.Sprintf("registry.example/some-project/some-team/application-%d:%d", image, tag)
}

// changedImage is a patch of the last container of a huge object.
func (k kind) changedImage(tag int) string {
	return k.at(fmt.Sprintf(`{"containers":[{"name":"app-99","image":%q}]}`, reference(99, tag)))
}

func TestHugeObjectsAreWithinTheBudget(t *testing.T) {
	l := newLab(t)
	admitted := []string{reference(99, 2)}
	for i := range 100 {
		admitted = append(admitted, reference(i, 1))
	}
	l.protect()
	l.Bind("edit", tenancy.Labguard)
	for _, k := range changeable {
		l.Passes(l.create(l.Tenant, k, k.huge(l, "app-"+k.Resource)))
		l.Must(l.patch(tenancy.Labguard, k, "app-"+k.Resource, annotated(fmt.Sprintf(`"labguard.dev/admitted":%q`, strings.Join(admitted, " ")))))
		held := k.huge(l, "held-"+k.Resource)
		held.SetAnnotations(map[string]string{"labguard.dev/hold": "{}", "labguard.dev/admitted": strings.Join(admitted, " ")})
		l.Passes(l.create(tenancy.Labguard, k, held))
	}
	for _, k := range []kind{jobs, pods} {
		l.Passes(l.create(l.Tenant, k, k.huge(l, "app-"+k.Resource)))
	}
	l.kill()
	for _, k := range allKinds {
		t.Run(k.kind, func(t *testing.T) {
			l, name := l.in(t), "app-"+k.Resource
			l.Passes(l.patch(l.Tenant, k, name, `{"metadata":{"labels":{"shift":"night"}}}`))
			l.asked(l.create(l.Tenant, k, k.huge(l, "another")))
			l.asked(l.patch(l.Tenant, k, name, k.changedImage(3)))
			l.Passes(l.patch(l.Tenant, k, name, annotated(forged)))
		})
	}
	for _, k := range changeable {
		t.Run("rollback and hold of "+k.kind, func(t *testing.T) {
			l, name := l.in(t), "app-"+k.Resource
			l.Passes(l.patch(l.Tenant, k, name, k.changedImage(2)))
			if k.kind != daemonSets.kind && k.kind != cronJobs.kind {
				l.Passes(l.patch(l.Tenant, k, name, `{"spec":{"replicas":0}}`))
			}
			l.Passes(l.patch(l.Tenant, k, "held-"+k.Resource, `{"metadata":{"labels":{"shift":"night"}}}`))
			l.asked(l.patch(l.Tenant, k, "held-"+k.Resource, k.changedImage(2)))
			l.asked(l.patch(tenancy.Labguard, k, name, annotated(`"labguard.dev/hold":"{}"`)))
		})
	}
}

func TestHugeObjectsAreAskedAboutWhileLabguardLives(t *testing.T) {
	l := newLab(t)
	l.protect()
	r := l.live()
	for _, k := range allKinds {
		l.Passes(l.create(l.Tenant, k, k.huge(l, "app-"+k.Resource)))
		if calls := r.take(); len(calls) != 2 {
			t.Errorf("asked about %s: %v", k.kind, calls)
		}
	}
}
