// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/served"
	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/pki"
)

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, cluster.WithCRDs("../../config/crd/bases")))
}

const domain = "lab.example"

// said is what airlocks have said, by pod.
type said map[types.UID]posture.AirlockFacts

func (s said) Everything() map[types.UID]posture.AirlockFacts { return maps.Clone(s) }

// announcements are the events that were sent.
type announcements []string

func (a *announcements) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	*a = append(*a, kind+" "+reason+" "+fmt.Sprintf(note, args...))
}

// withoutBundles is an API server that serves no ClusterTrustBundles.
type withoutBundles struct{ meta.RESTMapper }

func (w withoutBundles) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	if kind == bundleKind {
		return nil, &meta.NoKindMatchError{GroupKind: kind}
	}
	return w.RESTMapper.RESTMapping(kind, versions...)
}

func scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme), certmanagerv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return scheme
}

// world is a reconciler before a real API server.
type world struct {
	*testing.T
	*Reconciler
	clock  *clocktesting.FakeClock
	said   said
	events *announcements
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c, err := client.New(cluster.Config(), client.Options{Scheme: scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, clock: clocktesting.NewFakeClock(time.Now().Truncate(time.Second)), said: said{}, events: &announcements{}}
	w.Reconciler = &Reconciler{
		Client: c, Live: c, Mapper: c.RESTMapper(), Reports: w.said, Served: served.ByMapper{Mapper: c.RESTMapper()}, Clock: w.clock,
		Random: func() float64 { return 0 }, Recorder: w.events, Namespace: cluster.Namespace(t), TrustDomain: domain,
	}
	t.Cleanup(w.clean)
	return w
}

// clean removes what is not in namespaces.
func (w *world) clean() {
	if err := w.DeleteAllOf(context.Background(), &certificatesv1.ClusterTrustBundle{}, ours); err != nil {
		w.Error(err)
	}
}

// restart is the reconciler of a process that starts anew.
func (w *world) restart() {
	w.Reconciler = &Reconciler{
		Client: w.Client, Live: w.Live, Mapper: w.Mapper, Reports: w.said, Served: w.Served, Clock: w.clock, Random: w.Random, Recorder: w.events,
		Namespace: w.Namespace, TrustDomain: domain, Sources: w.Sources, ClusterIssuer: w.ClusterIssuer,
	}
}

// converge reconciles until nothing is written any more.
func (w *world) converge() ctrl.Result {
	w.Helper()
	before := "nothing"
	for range 10 {
		result, err := w.Reconcile(w.Context(), TheTrust)
		if err != nil {
			w.Fatal(err)
		}
		after := w.versions()
		if after == before {
			return result
		}
		before = after
	}
	w.Fatal("writes without an end")
	return ctrl.Result{}
}

// versions are the versions of everything that the reconciler writes.
func (w *world) versions() string {
	w.Helper()
	var bundles certificatesv1.ClusterTrustBundleList
	var configMaps corev1.ConfigMapList
	var certificates certmanagerv1.CertificateList
	if err := errors.Join(w.List(w.Context(), &bundles, ours), w.List(w.Context(), &configMaps, ours), w.List(w.Context(), &certificates, client.InNamespace(w.Namespace))); err != nil {
		w.Fatal(err)
	}
	var versions []string
	for i := range bundles.Items {
		versions = append(versions, bundles.Items[i].Name+bundles.Items[i].ResourceVersion)
	}
	for i := range configMaps.Items {
		versions = append(versions, configMaps.Items[i].Namespace+configMaps.Items[i].ResourceVersion)
	}
	slices.Sort(versions)
	return fmt.Sprint(versions)
}

func (w *world) bundle(name string) *certificatesv1.ClusterTrustBundle {
	w.Helper()
	bundle := &certificatesv1.ClusterTrustBundle{}
	if err := w.Get(w.Context(), client.ObjectKey{Name: name}, bundle); err != nil {
		w.Fatal(err)
	}
	return bundle
}

// has checks the roots of a PEM text.
func (w *world) has(text string, wanted ...*pki.Authority) {
	w.Helper()
	roots, err := posture.ParseRoots(text, posture.MaxPublished)
	if err != nil {
		w.Fatal(err)
	}
	var got, want []string
	for _, root := range roots {
		got = append(got, root.Fingerprint)
	}
	for _, one := range wanted {
		want = append(want, one.Fingerprint())
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.Errorf("has roots %q, want %q", got, want)
	}
}

func (w *world) roots(of ...*pki.Authority) []posture.Root {
	w.Helper()
	var roots []posture.Root
	for _, one := range of {
		read, err := posture.ParseRoots(one.Text(), posture.MaxRoots)
		if err != nil {
			w.Fatal(err)
		}
		roots = append(roots, read...)
	}
	return roots
}

func (w *world) own(of ...*pki.Authority) posture.TrustSource {
	w.Helper()
	return posture.TrustSource{Kind: posture.OwnTrust, Name: domain, Roots: w.roots(of...)}
}

// pod creates a pod with airlock that uses roots.
func (w *world) pod(namespace, name string) types.UID {
	w.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{v1alpha1.WorkloadLabel: "lis"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.example/lis:1"}}},
	}
	if err := w.Create(w.Context(), pod); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := w.Delete(context.Background(), pod, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
			w.Error(err)
		}
	})
	return pod.UID
}

func (w *world) says(pod types.UID, root *pki.Authority) {
	w.said[pod] = posture.AirlockFacts{ReportedAt: w.clock.Now(), Report: report.Report{Identity: &report.Identity{Root: root.Fingerprint()}}}
}

func (w *world) profile(namespace string) *v1alpha1.AirlockProfile {
	w.Helper()
	profile := &v1alpha1.AirlockProfile{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "labguard-lis"},
		Spec: v1alpha1.AirlockProfileSpec{
			Workload: "lis", LabWorkload: "lis", Stage: v1alpha1.TransitStagePermissive,
			Current: v1alpha1.AirlockRevision{Hash: "h", Image: "i", Memory: 1, Secret: "s", ConfigMap: "c"},
		},
	}
	if err := w.Create(w.Context(), profile); err != nil {
		w.Fatal(err)
	}
	return profile
}
