// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/reliability"
)

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, cluster.WithCRDs("../../config/crd/bases")))
}

func TestWhatIsKnownOfPeopleSurvivesWhateverGoesWrong(t *testing.T) {
	env, err := reliability.Connect(cluster.Config(), nil, newScheme(t))
	if err != nil {
		t.Fatal(err)
	}
	env.Keep = cluster.EndsWithTests()
	reliability.Run(t, env, whatIsKnown())
}

// whatIsKnown has two providers of one issuer, of which one goes, and whose claims arrive, are asked for otherwise, arrive again and then do not for a
// day; and two uses of break glass, of which one is acknowledged and is deleted after 90 days. The other one never is.
func whatIsKnown() reliability.Scenario {
	note := func(ctx context.Context, w *reliability.World) error {
		var known v1alpha1.IdentityProvider
		if err := w.Admin.Get(ctx, client.ObjectKey{Name: "lab"}, &known); err != nil {
			return err
		}
		return NewProofs(w.Admin, w.Admin, w.Clock).note(ctx, issuer, sighting{w.Clock.Now(), known.Generation})
	}
	return reliability.Scenario{
		Name:   "what is known of people",
		Serial: true,
		Start:  noon,
		Arrange: func(ctx context.Context, w *reliability.World) error {
			done, open := use("done", noon, true), use("open", noon, false)
			done.Namespace, open.Namespace = w.Namespace, w.Namespace
			return errors.Join(
				w.Admin.Create(ctx, provider("lab", issuer)), w.Admin.Create(ctx, provider("twin", issuer)), w.Admin.Create(ctx, done), w.Admin.Create(ctx, open),
			)
		},
		Disturb: []reliability.Step{
			{Name: "one of two providers goes, and claims arrive", Do: func(ctx context.Context, w *reliability.World) error {
				if err := w.Admin.Delete(ctx, provider("twin", issuer)); err != nil {
					return err
				}
				return note(ctx, w)
			}},
			{Name: "the provider is asked for something else", Do: func(ctx context.Context, w *reliability.World) error {
				lab := &v1alpha1.IdentityProvider{}
				if err := w.Admin.Get(ctx, client.ObjectKey{Name: "lab"}, lab); err != nil {
					return err
				}
				lab.Spec.Proves = []v1alpha1.ProvenClaim{v1alpha1.ProvesMethods, v1alpha1.ProvesAuthTime}
				return w.Admin.Update(ctx, lab)
			}},
			// Not at any time: what arrives before the old proof is withdrawn goes with it, as nobody can tell of which claims it is.
			{Name: "claims arrive again", Do: note},
			{Name: "a day goes by", Do: func(_ context.Context, w *reliability.World) error {
				w.Clock.Step(24 * time.Hour)
				return nil
			}},
			{Name: "90 days go by", Do: func(_ context.Context, w *reliability.World) error {
				w.Clock.Step(KeepAcknowledged)
				return nil
			}},
		},
		New: func(w *reliability.World, c client.Client) []reliability.Controller {
			providers := &Providers{Client: c, Clock: w.Clock, Random: noJitter, Recorder: &told{}}
			retention := &Retention{Client: c, Clock: w.Clock, Random: noJitter}
			return []reliability.Controller{
				{Name: "identityprovider", Reconcile: providers.Reconcile, Requests: reliability.Each(&v1alpha1.IdentityProviderList{})},
				{Name: "breakglassuse", Reconcile: retention.Reconcile, Requests: reliability.Each(&v1alpha1.BreakGlassUseList{})},
			}
		},
		Snapshot:    reliability.Kinds(&v1alpha1.IdentityProviderList{}, &v1alpha1.BreakGlassUseList{}),
		FieldOwners: []string{v1alpha1.FieldManager, ProofManager},
		Normalize:   withoutInstant,
		Always: func(ctx context.Context, w *reliability.World) error {
			open := use("open", noon, false)
			open.Namespace = w.Namespace
			if err := w.Admin.Get(ctx, client.ObjectKeyFromObject(open), open); err != nil {
				return errors.Join(errors.New("the use that nobody has acknowledged is gone"), err)
			}
			return nil
		},
		Cleanup: func(ctx context.Context, w *reliability.World) error {
			return w.Admin.DeleteAllOf(ctx, &v1alpha1.IdentityProvider{})
		},
	}
}

// withoutInstant hides when an acknowledgement was seen first: later, the more has gone wrong before.
func withoutInstant(object *unstructured.Unstructured) {
	annotations := object.GetAnnotations()
	if at, err := time.Parse(time.RFC3339, annotations[AcknowledgedAnnotation]); err == nil && !at.Before(noon) {
		annotations[AcknowledgedAnnotation] = "<time>"
		object.SetAnnotations(annotations)
	}
}

// managers are who owns a field of a status.
func managers(object metav1.Object) []string {
	var names []string
	for _, entry := range object.GetManagedFields() {
		if entry.Subresource == "status" {
			names = append(names, entry.Manager)
		}
	}
	return names
}
