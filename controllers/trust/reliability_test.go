// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/served"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/pki"
	"github.com/labguard/labguard/internal/testutil/reliability"
)

func TestBundlesSurviveWhateverGoesWrong(t *testing.T) {
	env, err := reliability.Connect(cluster.Config(), nil, scheme(t))
	if err != nil {
		t.Fatal(err)
	}
	env.Keep = cluster.EndsWithTests()
	old, fresh := pki.NewAuthorityAt(t, "old", time.Now()), pki.NewAuthorityAt(t, "fresh", time.Now())
	roots, err := posture.ParseRoots(old.Text()+fresh.Text(), posture.MaxRoots)
	if err != nil {
		t.Fatal(err)
	}
	nothingIsLeft(t)
	reliability.Run(t, env, theBundles(roots[0], roots[1]))
}

// nothingIsLeft waits until the namespaces of earlier tests have lost their ConfigMaps of bundles, which the reconciler would take away from them otherwise.
func nothingIsLeft(t *testing.T) {
	t.Helper()
	c, err := client.New(cluster.Config(), client.Options{Scheme: scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	var left corev1.ConfigMapList
	err = wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := c.List(ctx, &left, ours)
		return len(left.Items) == 0, err
	})
	if err != nil {
		t.Fatalf("%v: there are %d ConfigMaps of earlier tests", err, len(left.Items))
	}
}

// theBundles changes a root of peers who cannot say what they use: the old root is in every bundle that was ever written.
func theBundles(old, fresh posture.Root) reliability.Scenario {
	return reliability.Scenario{
		Name:    "the bundles",
		Serial:  true,
		Arrange: func(context.Context, *reliability.World) error { return nil },
		Disturb: []reliability.Step{
			{Name: "another root", Do: func(context.Context, *reliability.World) error { return nil }},
			{Name: "a bundle deleted by hand", Do: func(ctx context.Context, w *reliability.World) error {
				return w.Admin.DeleteAllOf(ctx, &certificatesv1.ClusterTrustBundle{}, ours)
			}},
		},
		Always: func(ctx context.Context, w *reliability.World) error {
			var bundles certificatesv1.ClusterTrustBundleList
			if err := w.Admin.List(ctx, &bundles, ours); err != nil {
				return err
			}
			for i := range bundles.Items {
				if !strings.Contains(bundles.Items[i].Spec.TrustBundle, old.PEM()) {
					return fmt.Errorf("the old root has left %s", bundles.Items[i].Name)
				}
			}
			return nil
		},
		New: func(w *reliability.World, c client.Client) []reliability.Controller {
			source := posture.TrustSource{Kind: posture.FederatedTrust, Name: domain, Roots: []posture.Root{old}}
			if w.Phase > 0 {
				source.Roots = []posture.Root{fresh}
			}
			var r *Reconciler
			look := func(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
				if w.Phase > 0 {
					r.Sources[0].Roots = []posture.Root{fresh}
				}
				return r.Reconcile(ctx, request)
			}
			r = &Reconciler{
				Client: c, Live: w.Admin, Mapper: c.RESTMapper(), Reports: said{}, Served: served.ByMapper{Mapper: c.RESTMapper()}, Clock: w.Clock,
				Random: func() float64 { return 0 }, Recorder: &announcements{}, Namespace: w.Namespace, TrustDomain: domain,
				Sources: []posture.TrustSource{source}, ClusterIssuer: "absent",
			}
			return []reliability.Controller{{Name: "trust", Reconcile: look, Requests: func(context.Context, *reliability.World) ([]reconcile.Request, error) {
				return []reconcile.Request{TheTrust}, nil
			}}}
		},
		Snapshot: func(ctx context.Context, w *reliability.World) ([]client.Object, error) {
			var bundles certificatesv1.ClusterTrustBundleList
			var configMaps corev1.ConfigMapList
			if err := errors.Join(w.Admin.List(ctx, &bundles, ours), w.Admin.List(ctx, &configMaps, client.InNamespace(w.Namespace), ours)); err != nil {
				return nil, err
			}
			var objects []client.Object
			for i := range bundles.Items {
				objects = append(objects, &bundles.Items[i])
			}
			for i := range configMaps.Items {
				objects = append(objects, &configMaps.Items[i])
			}
			return objects, nil
		},
		FieldOwners: []string{v1alpha1.FieldManager},
		Soon:        time.Minute, // how long labguard waits for a kind that is not served
		Cleanup: func(ctx context.Context, w *reliability.World) error {
			return errors.Join(
				w.Admin.DeleteAllOf(ctx, &certificatesv1.ClusterTrustBundle{}, ours),
				w.Admin.DeleteAllOf(ctx, &corev1.ConfigMap{}, client.InNamespace(w.Namespace), ours),
			)
		},
	}
}
