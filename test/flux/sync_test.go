// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package flux

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/kubelet"
	"github.com/labguard/labguard/internal/testutil/operator"
)

const (
	apps      = "apps/v1"
	ours      = "labguard.dev/v1alpha1"
	byFlux    = "kustomize-controller"
	plenty    = 100 * time.Second
	laterCA   = "later-ca"
	configFor = "- {kind: ClusterIssuer, name: lab-ca}\n"
)

func keyOf(object client.Object) client.ObjectKey { return client.ObjectKeyFromObject(object) }

func TestFlux(t *testing.T) {
	kubectl(t, "apply", "-f", "../../hack/lab-ca.yaml")
	kubectl(t, "wait", "--for=condition=Ready", "--timeout=120s", "clusterissuer/lab-ca")
	kubelet.Start(t, "node-of-flux")
	operator.Start(t, operator.Options{
		Configuration: strings.Replace(operator.Configuration(), configFor, configFor+"- {kind: ClusterIssuer, name: "+laterCA+"}\n", 1),
	})
	flux := start(t)
	t.Run("what Git has is applied, and nothing is written by ten syncs more", func(t *testing.T) { tenSyncs(t, flux) })
	t.Run("in namespaces of their own", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T){
			"drift by hand comes back":                                      drift,
			"Deny: one stale image of thirty objects keeps back the others": deny,
			"Hold: one stale image of thirty objects keeps back itself":     func(t *testing.T) { hold(t, flux) },
			"a hold gives back what Git declares":                           heldFields,
			"a Kustomization is ready when its LabWorkload is":              waitsForReady,
			"what nobody but Git can mend fails at once":                    failsFast,
			"the compliance gate waits for pods that are compliant":         complianceGate,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t)
			})
		}
	})
}

// laboratory is what a repository may have: a LabWorkload with everything that labguard writes for one, a Deployment and a Service.
func laboratory(image, commit string) map[string]string {
	return map[string]string{"guard.yaml": guard(commit, "Deny", encrypted("lab-ca", "lis")), "lis.yaml": software("lis", image, commit, "")}
}

// tenSyncs runs alone, so that whatever is written meanwhile is of its own.
func tenSyncs(t *testing.T, flux *controller) {
	r := newRepository(t, "kustomization.yaml", plenty)
	r.alone = true
	files := laboratory(operator.Push(t, "flux/ten:1", 10*day), "one")
	r.succeeds(r.commit(files))
	before := r.quiet()
	fluxBefore, labguardBefore, comparisons := len(flux.writes()), len(writesOfLabguard(t)), flux.comparisons()
	if fluxBefore < len(files) || labguardBefore == 0 {
		t.Fatalf("Flux is said to have written %d times and labguard %d times to get here: nobody counts", fluxBefore, labguardBefore)
	}
	began := time.Now()
	for range 10 {
		r.sync()
	}
	files["README.md"] = "A commit that changes no object."
	r.succeeds(r.commit(files))
	after := r.quiet()
	compared := flux.comparisons() - comparisons
	t.Logf("ten syncs and a commit that changes nothing, %d objects, %s: %d comparisons", len(after), time.Since(began).Round(time.Second), compared)
	if changed := differences(before, after); len(changed) > 0 {
		t.Errorf("written: %v", changed)
	}
	if wrote := flux.writes()[fluxBefore:]; len(wrote) > 0 {
		t.Errorf("Flux wrote:\n%s", strings.Join(wrote, "\n"))
	}
	if wrote := writesOfLabguard(t)[labguardBefore:]; len(wrote) > 0 {
		t.Errorf("labguard wrote:\n%s", strings.Join(wrote, "\n"))
	}
	if compared < 11*3 {
		t.Errorf("Flux has compared %d times: it has not looked", compared)
	}
	for _, kind := range []string{"NetworkPolicy labguard-laboratory", "Certificate labguard-laboratory", "RolloutRecord deployment-lis", "Deployment lis", "Service lis"} {
		if after[kind] == "" {
			t.Errorf("there is no %s among %d objects", kind, len(after))
		}
	}
	t.Run("labguard owns no field that Git has", func(t *testing.T) {
		owned(t, r.get(apps, "Deployment", "lis"), "replicas", "selector", "template")
		owned(t, r.get(ours, "LabWorkload", "laboratory"), "selector", "enforcement", "images", "encryption")
		owned(t, r.get("v1", "Service", "lis"), "selector", "ports")
	})
}

// owned fails the test unless Flux alone owns the fields of the spec, and labguard nothing but its annotations and its status.
func owned(t *testing.T, object *unstructured.Unstructured, fields ...string) {
	t.Helper()
	what := object.GetKind() + " " + object.GetName()
	for _, field := range fields {
		if got := owners(object, "spec", field); !slices.Equal(got, []string{byFlux}) {
			t.Errorf("%s: spec.%s is owned by %v", what, field, got)
		}
	}
	for _, path := range [][]string{{"spec"}, {"data"}, {"metadata", "labels"}, {"metadata", "ownerReferences"}, {"metadata", "finalizers"}} {
		if slices.Contains(owners(object, path...), v1alpha1.FieldManager) {
			t.Errorf("%s: labguard owns something of %v", what, path)
		}
	}
}

// drift changes by hand what Git declares, as an administrator does.
func drift(t *testing.T) {
	r := newRepository(t, "kustomization.yaml", plenty)
	r.succeeds(r.commit(laboratory(operator.Push(t, "flux/drift:1", 10*day), "one")))
	other := operator.Push(t, "flux/drift:2", 5*day)
	in := []string{"-n", r.namespace}
	for _, words := range [][]string{
		{"scale", "deployment/lis", "--replicas=3"},
		{"set", "image", "deployment/lis", "app=" + other},
		{"rollout", "pause", "deployment/lis"},
		{"label", "--overwrite", "service/lis", "commit=hand"},
		{"patch", "labworkload/laboratory", "--type=merge", "-p", `{"spec":{"enforcement":"Audit","images":{"maxAge":"9000h"}}}`},
	} {
		kubectl(t, append(words, in...)...)
	}
	spec := func(object *unstructured.Unstructured, path ...string) string {
		value, _, err := unstructured.NestedFieldNoCopy(object.Object, append([]string{"spec"}, path...)...)
		return fmt.Sprintf("%v %v", value, err)
	}
	state := func() []string {
		d, l := r.get(apps, "Deployment", "lis"), r.get(ours, "LabWorkload", "laboratory")
		return []string{
			spec(d, "replicas"), spec(d, "template", "spec", "containers"), spec(d, "paused"), r.get("v1", "Service", "lis").GetLabels()["commit"],
			spec(l, "enforcement"), spec(l, "images", "maxAge"),
		}
	}
	drifted := state()
	r.sync()
	for i, now := range state() {
		if now == drifted[i] {
			t.Errorf("it stays %s", now)
		}
	}
	want := []string{"1 <nil>", "flux/drift:1", "<nil> <nil>", "one", "Enforce <nil>", "2160h <nil>"}
	for i, now := range state() {
		if !strings.Contains(now, want[i]) {
			t.Errorf("it is %s, Git has %s", now, want[i])
		}
	}
	for _, deleted := range []string{"service/lis", "labworkload/laboratory"} {
		kubectl(t, "delete", deleted, "-n", r.namespace)
	}
	r.sync()
	r.get("v1", "Service", "lis")
	r.get(ours, "LabWorkload", "laboratory")
	if _, err := cluster.Kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "labworkload/laboratory", "-n", r.namespace); err != nil {
		t.Error(err)
	}
}
