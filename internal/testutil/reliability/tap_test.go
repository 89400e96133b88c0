// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reliability

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	networkingapply "k8s.io/client-go/applyconfigurations/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var errTest = errors.New("as the test wants")

// tapped is a client of a trial that has one Ingress, and the trial.
func tapped(t *testing.T) (*trial, client.Client, *networkingv1.Ingress) {
	t.Helper()
	scenario := toyScenario(none)
	h := &harness{env: environment(t), scenario: &scenario}
	trial, err := h.begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := trial.end(context.Background()); err != nil {
			t.Error(err)
		}
	})
	trial.process.cancel = func() {}
	ingress := &networkingv1.Ingress{}
	if err := trial.world.Admin.Get(t.Context(), client.ObjectKey{Namespace: trial.world.Namespace, Name: "toy"}, ingress); err != nil {
		t.Fatal(err)
	}
	return trial, newTap(trial.env.operator(), trial.process), ingress
}

// mark is a change that can be seen.
func mark(ingress *networkingv1.Ingress) *networkingv1.Ingress {
	ingress.Labels = map[string]string{"marked": "yes"}
	ingress.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: "marked.example"}}
	return ingress
}

var writers = map[string]func(ctx context.Context, c client.Client, ingress *networkingv1.Ingress) error{
	"update-Ingress": func(ctx context.Context, c client.Client, ingress *networkingv1.Ingress) error {
		return c.Update(ctx, mark(ingress))
	},
	"patch-Ingress": func(ctx context.Context, c client.Client, ingress *networkingv1.Ingress) error {
		before := ingress.DeepCopy()
		return c.Patch(ctx, mark(ingress), client.MergeFrom(before))
	},
	"apply-Ingress": func(ctx context.Context, c client.Client, ingress *networkingv1.Ingress) error {
		return c.Apply(ctx, networkingapply.Ingress(ingress.Name, ingress.Namespace).WithLabels(map[string]string{"marked": "yes"}), toyOwner)
	},
	"delete-Ingress": func(ctx context.Context, c client.Client, ingress *networkingv1.Ingress) error {
		return c.Delete(ctx, ingress)
	},
	"deletecollection-Ingress": func(ctx context.Context, c client.Client, ingress *networkingv1.Ingress) error {
		return c.DeleteAllOf(ctx, &networkingv1.Ingress{}, client.InNamespace(ingress.Namespace))
	},
	"update-Ingress.status": func(ctx context.Context, c client.Client, ingress *networkingv1.Ingress) error {
		return c.Status().Update(ctx, mark(ingress))
	},
	"patch-Ingress.status": func(ctx context.Context, c client.Client, ingress *networkingv1.Ingress) error {
		before := ingress.DeepCopy()
		return c.Status().Patch(ctx, mark(ingress), client.MergeFrom(before))
	},
	"apply-Ingress.status": func(ctx context.Context, c client.Client, ingress *networkingv1.Ingress) error {
		point := networkingapply.IngressLoadBalancerIngress().WithHostname("marked.example")
		status := networkingapply.IngressStatus().WithLoadBalancer(networkingapply.IngressLoadBalancerStatus().WithIngress(point))
		return c.Status().Apply(ctx, networkingapply.Ingress(ingress.Name, ingress.Namespace).WithStatus(status), toyOwner)
	},
}

func TestEachVerbIsCountedAndFailsAsToldBeforeOrAfterTheServerHasActed(t *testing.T) {
	for name, write := range writers {
		for _, sent := range []bool{false, true} {
			t.Run(name+map[bool]string{false: " not sent", true: " sent"}[sent], func(t *testing.T) {
				t.Parallel()
				trial, c, ingress := tapped(t)
				before := ingress.ResourceVersion
				trial.hook = func(Call) verdict { return verdict{err: errTest, sent: sent} }
				if err := write(t.Context(), c, ingress); !errors.Is(err, errTest) {
					t.Fatalf("error is %v; want %v", err, errTest)
				}
				if trial.writes != 1 || trial.calls[0].shape().String() != name {
					t.Errorf("%d writes, calls %v; want one %s", trial.writes, trial.calls, name)
				}
				if ingress.ResourceVersion != before {
					t.Errorf("the caller sees the server's answer: resource version %s", ingress.ResourceVersion)
				}
				now := &networkingv1.Ingress{}
				err := trial.world.Admin.Get(t.Context(), client.ObjectKeyFromObject(ingress), now)
				changed := apierrors.IsNotFound(err) || (err == nil && now.ResourceVersion != before)
				if changed != sent {
					t.Errorf("changed on the server: %v; want %v", changed, sent)
				}
			})
		}
	}
}

func TestADryRunIsNoWrite(t *testing.T) {
	trial, c, ingress := tapped(t)
	if err := c.Update(t.Context(), mark(ingress), client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	if trial.writes != 0 || trial.calls[0].shape().String() != "dryrun-update-Ingress" {
		t.Errorf("%d writes, calls %v; want one dry run", trial.writes, trial.calls)
	}
}

func TestADeadProcessMakesNoCall(t *testing.T) {
	trial, c, ingress := tapped(t)
	trial.hook = func(Call) verdict { return verdict{err: errDead} }
	first := c.Update(t.Context(), ingress)
	second := c.Get(t.Context(), client.ObjectKeyFromObject(ingress), ingress)
	if !errors.Is(first, errDead) || !errors.Is(second, errDead) || len(trial.calls) != 1 {
		t.Errorf("errors are %v and %v, calls %v; want both dead and one call", first, second, trial.calls)
	}
}

func TestAMissingKindIsUnknownToTheMapper(t *testing.T) {
	trial, c, _ := tapped(t)
	gk := schema.GroupKind{Group: "networking.k8s.io", Kind: "Ingress"}
	if _, err := c.RESTMapper().RESTMapping(gk); err != nil {
		t.Fatal(err)
	}
	trial.process.missing.set(gk)
	if _, err := c.RESTMapper().RESTMapping(gk); !meta.IsNoMatchError(err) {
		t.Errorf("error is %v; want no match", err)
	}
}

func TestAViewShowsThePastAndOnlyOfTheTrial(t *testing.T) {
	trial, c, ingress := tapped(t)
	trial.remember = []schema.GroupVersionKind{networkingv1.SchemeGroupVersion.WithKind("Ingress")}
	trial.recall(t.Context())
	trial.frozen = trial.past[0]
	mark(ingress)
	if err := c.Update(t.Context(), ingress.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	old := &networkingv1.Ingress{}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(ingress), old); err != nil {
		t.Fatal(err)
	}
	metadata := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"}}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(ingress), metadata); err != nil {
		t.Fatal(err)
	}
	got := map[string]any{"labels": old.Labels, "metadata only": metadata.Labels}
	for name, options := range map[string][]client.ListOption{
		"all":                 {client.InNamespace(ingress.Namespace)},
		"everywhere, by name": {client.MatchingFields{"metadata.name": "toy", "metadata.namespace": ingress.Namespace}},
		"by the new label":    {client.MatchingLabels{"marked": "yes"}, client.InNamespace(ingress.Namespace)},
	} {
		var list networkingv1.IngressList
		if err := c.List(t.Context(), &list, options...); err != nil {
			t.Fatal(err)
		}
		got[name] = len(list.Items)
	}
	want := map[string]any{"labels": map[string]string(nil), "metadata only": map[string]string(nil), "all": 1, "everywhere, by name": 1, "by the new label": 0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reads differ (-want +got):\n%s", diff)
	}
}
