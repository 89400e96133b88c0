// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reliability

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	metaapply "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingapply "k8s.io/client-go/applyconfigurations/networking/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	toyOwner = client.FieldOwner("toy")
	toyLabel = "toy"
)

// flaw is what is wrong with a toy.
type flaw string

const (
	none             flaw = "none"
	needsMemory      flaw = "needs memory"
	writesAlways     flaw = "writes always"
	retriesCreate    flaw = "retries create"
	panicsOnNoMatch  flaw = "panics on no match"
	replacesExisting flaw = "replaces existing"
	swallowsErrors   flaw = "swallows errors"
	onlyOnEvent      flaw = "cleans up on events only"
	deletesOnError   flaw = "deletes on error"
	countsAttempts   flaw = "counts attempts in status"
)

// toy keeps one ConfigMap for each host of an Ingress, and the hosts in its
// status. No controller of Kubernetes cares about such an Ingress.
type toy struct {
	client.Client
	flaw flaw
	// hosts and attempts are memory that a good toy has no use for.
	hosts    map[string]bool
	attempts int
}

func (r *toy) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	r.attempts++
	ingress := &networkingv1.Ingress{}
	if err := r.Get(ctx, request.NamespacedName, ingress); err != nil {
		return ctrl.Result{}, r.fail(client.IgnoreNotFound(err))
	}
	var children corev1.ConfigMapList
	if err := r.List(ctx, &children, client.InNamespace(request.Namespace), client.MatchingLabels{toyLabel: request.Name}); err != nil {
		if r.flaw == deletesOnError {
			return ctrl.Result{}, r.DeleteAllOf(ctx, &corev1.ConfigMap{}, client.InNamespace(request.Namespace), client.MatchingLabels{toyLabel: request.Name})
		}
		return ctrl.Result{}, r.fail(err)
	}
	wanted := hosts(ingress)
	for _, host := range wanted {
		if err := r.ensure(ctx, ingress, host, children.Items); err != nil {
			return ctrl.Result{}, r.fail(err)
		}
	}
	if err := r.prune(ctx, wanted, children.Items); err != nil {
		return ctrl.Result{}, r.fail(err)
	}
	return ctrl.Result{}, r.fail(r.status(ctx, ingress, wanted))
}

func (r *toy) fail(err error) error {
	switch {
	case r.flaw == panicsOnNoMatch && meta.IsNoMatchError(err):
		panic("no such kind")
	case r.flaw == swallowsErrors && apierrors.IsForbidden(err):
		return nil
	default:
		return err
	}
}

func hosts(ingress *networkingv1.Ingress) []string {
	var all []string
	for _, rule := range ingress.Spec.Rules {
		all = append(all, rule.Host)
	}
	return all
}

func (r *toy) ensure(ctx context.Context, ingress *networkingv1.Ingress, host string, children []corev1.ConfigMap) error {
	i := slices.IndexFunc(children, func(c corev1.ConfigMap) bool { return c.Data["host"] == host })
	exists := i >= 0
	if r.flaw == needsMemory {
		// Only whoever creates the first one creates the others.
		if !exists && host != "a.example" && !r.hosts["created a.example"] {
			return nil
		}
		r.hosts["created "+host] = !exists
	}
	switch {
	case r.flaw == retriesCreate || r.flaw == replacesExisting:
		if exists {
			return nil
		}
		return r.create(ctx, ingress, host)
	case exists && r.flaw != writesAlways:
		return nil
	}
	owner := metaapply.OwnerReference().WithAPIVersion("networking.k8s.io/v1").WithKind("Ingress").
		WithName(ingress.Name).WithUID(ingress.UID).WithController(true)
	child := coreapply.ConfigMap(ingress.Name+"-"+host, ingress.Namespace).
		WithLabels(map[string]string{toyLabel: ingress.Name}).WithOwnerReferences(owner).
		WithData(map[string]string{"host": host, "namespace": ingress.Namespace})
	return r.Apply(ctx, child, toyOwner, client.ForceOwnership)
}

func (r *toy) create(ctx context.Context, ingress *networkingv1.Ingress, host string) error {
	child := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: ingress.Namespace, Labels: map[string]string{toyLabel: ingress.Name}},
		Data:       map[string]string{"host": host},
	}
	if r.flaw == retriesCreate {
		child.GenerateName = ingress.Name + "-"
		again := child.DeepCopy()
		if err := r.Create(ctx, child); err == nil {
			return nil
		}
		return r.Create(ctx, again)
	}
	child.Name = ingress.Name + "-" + host
	again := child.DeepCopy()
	err := r.Create(ctx, child)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	if err := r.Delete(ctx, again.DeepCopy()); err != nil {
		return err
	}
	return r.Create(ctx, again)
}

func (r *toy) prune(ctx context.Context, wanted []string, children []corev1.ConfigMap) error {
	for _, child := range children {
		host := child.Data["host"]
		if slices.Contains(wanted, host) {
			r.hosts["wanted "+host] = true
			continue
		}
		if r.flaw == onlyOnEvent && !r.hosts["wanted "+host] {
			continue
		}
		if err := client.IgnoreNotFound(r.Delete(ctx, &child, client.Preconditions{UID: &child.UID})); err != nil {
			return err
		}
	}
	return nil
}

func (r *toy) status(ctx context.Context, ingress *networkingv1.Ingress, wanted []string) error {
	var now []string
	for _, point := range ingress.Status.LoadBalancer.Ingress {
		now = append(now, point.Hostname)
	}
	if slices.Equal(now, wanted) {
		return nil
	}
	balancer := networkingapply.IngressLoadBalancerStatus()
	for _, host := range wanted {
		if r.flaw == countsAttempts {
			host = fmt.Sprintf("attempt-%d.%s", r.attempts, host)
		}
		balancer.WithIngress(networkingapply.IngressLoadBalancerIngress().WithHostname(host))
	}
	status := networkingapply.Ingress(ingress.Name, ingress.Namespace).WithStatus(networkingapply.IngressStatus().WithLoadBalancer(balancer))
	return r.Status().Apply(ctx, status, toyOwner, client.ForceOwnership)
}

// toyScenario has two hosts at first, then one more, then loses one, and then a
// child is deleted by somebody.
func toyScenario(f flaw) Scenario {
	return Scenario{
		Name: "a toy with flaw " + string(f),
		Arrange: func(ctx context.Context, w *World) error {
			return w.Admin.Create(ctx, toyIngress(w, "a.example", "b.example"))
		},
		Disturb: []Step{
			{Name: "add a host and remove one", Anytime: true, Do: func(ctx context.Context, w *World) error {
				ingress := &networkingv1.Ingress{}
				if err := w.Admin.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: "toy"}, ingress); err != nil {
					return err
				}
				ingress.Spec = toyIngress(w, "a.example", "c.example").Spec
				return w.Admin.Update(ctx, ingress)
			}},
			{Name: "somebody deletes a child", Do: func(ctx context.Context, w *World) error {
				children := client.MatchingLabels{toyLabel: "toy"}
				return w.Admin.DeleteAllOf(ctx, &corev1.ConfigMap{}, client.InNamespace(w.Namespace), children)
			}},
		},
		New: func(_ *World, c client.Client) []Controller {
			r := &toy{Client: c, flaw: f, hosts: map[string]bool{}}
			return []Controller{{Name: "toy", Reconcile: r.Reconcile, Requests: Each(&networkingv1.IngressList{})}}
		},
		Snapshot:    Kinds(&networkingv1.IngressList{}, &corev1.ConfigMapList{}),
		FieldOwners: []string{string(toyOwner)},
		MaxPasses:   8,
	}
}

func toyIngress(w *World, names ...string) *networkingv1.Ingress {
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "toy"}}
	for _, name := range names {
		ingress.Spec.Rules = append(ingress.Spec.Rules, networkingv1.IngressRule{Host: name})
	}
	return ingress
}
