// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/pki"
)

func TestEveryTrustDomainAndAuthorityHasABundleOfItsOwn(t *testing.T) {
	w := newWorld(t)
	one, two, partner, vendor := pki.NewAuthorityAt(t, "1", w.clock.Now()), pki.NewAuthorityAt(t, "2", w.clock.Now()), pki.NewAuthorityAt(t, "p", w.clock.Now()), pki.NewAuthorityAt(t, "v", w.clock.Now())
	w.Sources = []posture.TrustSource{
		w.own(one, two), {Kind: posture.FederatedTrust, Name: "partner.example", Roots: w.roots(partner)},
		{Kind: posture.ExternalTrust, Name: "vendor", Roots: w.roots(vendor)},
	}
	w.has(w.Roots(), one, two)
	result := w.converge()
	if result.RequeueAfter != lookEvery {
		t.Errorf("looks again after %s", result.RequeueAfter)
	}
	w.has(w.bundle("labguard-trust-lab.example").Spec.TrustBundle, one, two)
	w.has(w.bundle("labguard-trust-partner.example").Spec.TrustBundle, partner)
	w.has(w.bundle("labguard-authority-vendor").Spec.TrustBundle, vendor)
	if signer := w.bundle("labguard-authority-vendor").Spec.SignerName; signer != "" {
		t.Errorf("signer %q", signer)
	}

	// What others write into a bundle counts for nothing.
	foreign := pki.NewAuthorityAt(t, "foreign", w.clock.Now())
	changed := w.bundle("labguard-trust-lab.example")
	changed.Spec.TrustBundle += foreign.Text()
	if err := w.Update(t.Context(), changed, client.FieldOwner("somebody")); err != nil {
		t.Fatal(err)
	}
	if err := w.Delete(t.Context(), w.bundle("labguard-authority-vendor")); err != nil {
		t.Fatal(err)
	}
	w.converge()
	w.has(w.bundle("labguard-trust-lab.example").Spec.TrustBundle, one, two)
	w.has(w.bundle("labguard-authority-vendor").Spec.TrustBundle, vendor)

	// A record that was lost is made anew.
	if err := w.Delete(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: v1alpha1.TrustConfigMap}}); err != nil {
		t.Fatal(err)
	}
	w.Sources[0] = w.own(two)
	w.pod(cluster.Namespace(t), "silent")
	w.restart()
	w.converge()
	w.has(w.bundle("labguard-trust-lab.example").Spec.TrustBundle, one, two)
}

func TestARootLeavesOnceEveryPodHasSaidThatItUsesAnother(t *testing.T) {
	w := newWorld(t)
	namespace := cluster.Namespace(t)
	old, fresh := pki.NewAuthorityAt(t, "old", w.clock.Now()), pki.NewAuthorityAt(t, "fresh", w.clock.Now())
	a, b := w.pod(namespace, "a"), w.pod(namespace, "b")
	w.Sources = []posture.TrustSource{w.own(old)}
	w.converge()
	w.Sources = []posture.TrustSource{w.own(old, fresh)}
	w.restart()
	w.converge()
	w.says(a, old)
	w.Sources = []posture.TrustSource{w.own(fresh)}
	w.restart()
	if result := w.converge(); result.RequeueAfter > lookSoon {
		t.Errorf("looks again after %s", result.RequeueAfter)
	}
	bundle := w.bundle("labguard-trust-lab.example")
	w.has(bundle.Spec.TrustBundle, old, fresh)
	w.has(w.Roots(), old, fresh)
	for _, want := range []string{old.Fingerprint(), "pod " + namespace + "/a uses it", "pod " + namespace + "/b has not said"} {
		if !strings.Contains(bundle.Annotations[v1alpha1.LeavingAnnotation], want) {
			t.Errorf("the bundle says %q, want %q in it", bundle.Annotations, want)
		}
	}
	if got := testutil.ToFloat64(metrics.TrustRootsLeaving.WithLabelValues(bundle.Name)); got != 1 {
		t.Errorf("%v roots are leaving", got)
	}
	if got := testutil.ToFloat64(metrics.TrustBundlePods.WithLabelValues(bundle.Name, string(posture.BundleUnknown))); got != 1 {
		t.Errorf("%v pods are not known to have the bundle", got)
	}
	events := len(*w.events)
	w.converge()
	if events != 1 || len(*w.events) != 1 || !strings.HasPrefix((*w.events)[0], "Warning RootLeaving labguard-trust-lab.example keeps sha256:") {
		t.Errorf("events %q", *w.events)
	}

	w.says(a, fresh)
	w.converge()
	w.has(w.bundle("labguard-trust-lab.example").Spec.TrustBundle, old, fresh) // b is silent
	w.says(b, fresh)
	w.clock.Step(10 * time.Minute)
	w.converge()
	w.has(w.bundle("labguard-trust-lab.example").Spec.TrustBundle, old, fresh) // both have been silent for long
	w.says(a, fresh)
	w.says(b, fresh)
	w.converge()
	bundle = w.bundle("labguard-trust-lab.example")
	w.has(bundle.Spec.TrustBundle, fresh)
	w.has(w.Roots(), fresh)
	if bundle.Annotations[v1alpha1.LeavingAnnotation] != "" || !slices.Contains(*w.events, "Normal RootLeft labguard-trust-lab.example no longer has sha256:"+old.Fingerprint()) {
		t.Errorf("annotations %v, events %q", bundle.Annotations, *w.events)
	}
}

func TestPeersElsewhereKeepTheirRootUntilItIsRemovedByName(t *testing.T) {
	w := newWorld(t)
	own, old, fresh := pki.NewAuthorityAt(t, "own", w.clock.Now()), pki.NewAuthorityAt(t, "old", w.clock.Now()), pki.NewAuthorityAt(t, "fresh", w.clock.Now())
	vendor := posture.TrustSource{Kind: posture.ExternalTrust, Name: "vendor", Roots: w.roots(old)}
	w.Sources = []posture.TrustSource{w.own(own), vendor}
	w.converge()
	vendor.Roots = w.roots(fresh)
	w.Sources = []posture.TrustSource{w.own(own), vendor}
	w.restart()
	w.converge()
	w.has(w.bundle("labguard-authority-vendor").Spec.TrustBundle, old, fresh)
	w.Sources = []posture.TrustSource{w.own(own)} // an entry that is gone removes nothing
	w.restart()
	w.converge()
	w.has(w.bundle("labguard-authority-vendor").Spec.TrustBundle, old, fresh)
	vendor.Roots, vendor.Remove = nil, []string{old.Fingerprint(), fresh.Fingerprint()}
	w.Sources = []posture.TrustSource{w.own(own), vendor}
	w.restart()
	w.converge()
	err := w.Get(t.Context(), client.ObjectKey{Name: "labguard-authority-vendor"}, &certificatesv1.ClusterTrustBundle{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the bundle without roots: %v", err)
	}
	w.has(w.bundle("labguard-trust-lab.example").Spec.TrustBundle, own)
}

func TestWithoutClusterTrustBundlesEveryNamespaceWithSidecarsHasAConfigMap(t *testing.T) {
	w := newWorld(t)
	w.Mapper = withoutBundles{w.Mapper}
	namespace, taken, other := cluster.Namespace(t), cluster.Namespace(t), cluster.Namespace(t)
	own := pki.NewAuthorityAt(t, "own", w.clock.Now())
	profile := w.profile(namespace)
	foreign := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: taken, Name: v1alpha1.TrustConfigMap}, Data: map[string]string{"a": "b"}}
	if err := w.Create(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	w.Sources = []posture.TrustSource{w.own(own)}
	w.converge()
	configMap := func(namespace string) *corev1.ConfigMap {
		t.Helper()
		found := &corev1.ConfigMap{}
		if err := w.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: v1alpha1.TrustConfigMap}, found); client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
		return found
	}
	w.has(configMap(namespace).Data["labguard-trust-lab.example"], own)
	w.has(configMap(w.Namespace).Data["labguard-trust-lab.example"], own)
	if configMap(other).UID != "" {
		t.Error("a namespace without sidecars has a ConfigMap")
	}
	if err := w.Get(t.Context(), client.ObjectKey{Name: "labguard-trust-lab.example"}, &certificatesv1.ClusterTrustBundle{}); !apierrors.IsNotFound(err) {
		t.Errorf("a ClusterTrustBundle: %v", err)
	}

	// A tenant's root counts for nothing, neither there nor in what labguard itself believes.
	tenant := pki.NewAuthorityAt(t, "tenant", w.clock.Now())
	changed := configMap(namespace)
	changed.Data["labguard-trust-lab.example"] += tenant.Text()
	if err := w.Update(t.Context(), changed, client.FieldOwner("tenant")); err != nil {
		t.Fatal(err)
	}
	w.converge()
	w.has(configMap(namespace).Data["labguard-trust-lab.example"], own)
	w.has(w.Roots(), own)

	// What is somebody else's is left alone, and the others go on.
	w.profile(taken)
	w.profile(other)
	w.converge()
	if got := configMap(taken); len(got.Data) != 1 || got.Labels[v1alpha1.ManagedByLabel] != "" {
		t.Errorf("the ConfigMap of somebody else is %v", got)
	}
	if len(*w.events) != 1 || !strings.HasPrefix((*w.events)[0], "Warning NameTaken ConfigMap "+taken+"/labguard-trust exists and is not labguard's") {
		t.Errorf("events %q", *w.events)
	}
	w.has(configMap(other).Data["labguard-trust-lab.example"], own)

	// Once the cluster serves ClusterTrustBundles, what is mounted already is kept.
	w.Mapper = w.Client.RESTMapper()
	w.converge()
	w.has(w.bundle("labguard-trust-lab.example").Spec.TrustBundle, own)
	w.has(configMap(namespace).Data["labguard-trust-lab.example"], own)
	if err := w.Delete(t.Context(), profile); err != nil {
		t.Fatal(err)
	}
	w.converge()
	if configMap(namespace).UID != "" {
		t.Error("the ConfigMap is still there after the last sidecar")
	}
}

func TestARecordThatIsSpoiltIsMadeAnewFromWhatNoTenantCanWrite(t *testing.T) {
	w := newWorld(t)
	own, partner, next := pki.NewAuthorityAt(t, "own", w.clock.Now()), pki.NewAuthorityAt(t, "partner", w.clock.Now()), pki.NewAuthorityAt(t, "next", w.clock.Now())
	w.Sources = []posture.TrustSource{w.own(own), {Kind: posture.FederatedTrust, Name: "partner.example", Roots: w.roots(partner)}}
	w.converge()
	record := &corev1.ConfigMap{}
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: w.Namespace, Name: v1alpha1.TrustConfigMap}, record); err != nil {
		t.Fatal(err)
	}
	record.Data["labguard-trust-partner.example"] += "-----BEGIN CERTIFICATE-----\n"
	if err := w.Update(t.Context(), record, client.FieldOwner("somebody")); err != nil {
		t.Fatal(err)
	}
	w.Sources[1].Roots = w.roots(next)
	w.converge()
	w.has(w.bundle("labguard-trust-lab.example").Spec.TrustBundle, own)
	w.has(w.bundle("labguard-trust-partner.example").Spec.TrustBundle, partner, next)
}

// A tenant may write a ConfigMap with labguard's name and label before the namespace has a sidecar. Its keys must not be there when a bundle of that name is.
func TestRootsThatSomebodyHasPlantedDoNotStay(t *testing.T) {
	w := newWorld(t)
	w.Mapper = withoutBundles{w.Mapper}
	first, evil := pki.NewAuthorityAt(t, "first", w.clock.Now()), pki.NewAuthorityAt(t, "evil", w.clock.Now())
	w.Sources = []posture.TrustSource{w.own(first)}
	namespace := cluster.Namespace(t)
	planted := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.TrustConfigMap, Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}},
		Data:       map[string]string{desired.TrustBundle(domain): evil.Text(), desired.TrustBundle("partner.example"): evil.Text()},
		BinaryData: map[string][]byte{desired.AuthorityBundle("vendor"): evil.PEM()},
	}
	if err := w.Create(t.Context(), planted); err != nil {
		t.Fatal(err)
	}
	profile := w.profile(namespace)
	w.converge()
	found := &corev1.ConfigMap{}
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(planted), found); err != nil {
		t.Fatal(err)
	}
	w.has(found.Data[desired.TrustBundle(domain)], first)
	if len(found.Data) != 1 || len(found.BinaryData) != 0 {
		t.Errorf("the ConfigMap has %d keys and %d binary ones, want labguard's alone", len(found.Data), len(found.BinaryData))
	}
	if err := w.Delete(t.Context(), profile); err != nil {
		t.Fatal(err)
	}
	w.converge()
	// A record that stays is a bundle of nobody to the tests that follow.
	if err := w.Delete(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: v1alpha1.TrustConfigMap}}); err != nil {
		t.Fatal(err)
	}
}
