// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package flux

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/operator"
)

const (
	// short is for what is known to run into it; Flux waits for no less.
	short = 30 * time.Second
	// ofSoftware and ofSettings make thirty objects, with the LabWorkload.
	ofSoftware = 10
	ofSettings = 9
)

// thirty is a repository of thirty objects that a commit changes all. One Deployment has an image of its own.
func thirty(onStale, commit, image, ofOne string) map[string]string {
	files := map[string]string{"guard.yaml": guard(commit, onStale, "")}
	for i := range ofSoftware {
		one := image
		if i == 4 {
			one = ofOne
		}
		files[fmt.Sprintf("app-%d.yaml", i)] = software(fmt.Sprintf("app-%d", i), one, commit, "")
	}
	for i := range ofSettings {
		files[fmt.Sprintf("setting-%d.yaml", i)] = setting(fmt.Sprintf("setting-%d", i), commit)
	}
	return files
}

// at counts the objects of the thirty that are at a commit.
func (r *repository) at(commit string) int {
	r.Helper()
	names := kubectl(r, "get", "labworkloads,deployments,services,configmaps", "-n", r.namespace, "-l", "commit="+commit, "-o", "name")
	return len(strings.Fields(names))
}

// thirtyFresh applies thirty objects whose images are fresh, and pushes an image that is stale.
func thirtyFresh(t *testing.T, r *repository, onStale string) (fresh, old string) {
	t.Helper()
	fresh = operator.Push(t, "flux/"+strings.ToLower(onStale)+":1", 10*day)
	old = operator.Push(t, "flux/"+strings.ToLower(onStale)+":2", 200*day)
	r.succeeds(r.commit(thirty(onStale, "one", fresh, fresh)))
	if got := r.at("one"); got != 30 {
		t.Fatalf("%d objects, want 30", got)
	}
	return fresh, old
}

// says fails the test unless a message has all the words.
func says(t *testing.T, message string, words ...string) {
	t.Helper()
	for _, one := range words {
		if !strings.Contains(message, one) {
			t.Errorf("Flux does not say %q: %s", one, message)
		}
	}
}

func deny(t *testing.T) {
	r := newRepository(t, "kustomization.yaml", plenty)
	fresh, old := thirtyFresh(t, r, "Deny")
	ready := r.applied(r.commit(thirty("Deny", "two", fresh, old)))
	t.Logf("Flux says: %s: %s", ready.Reason, ready.Message)
	if ready.Status != metav1.ConditionFalse || ready.Reason != "ReconciliationFailed" {
		t.Errorf("it is %s/%s", ready.Status, ready.Reason)
	}
	says(t, ready.Message, "Deployment/"+r.namespace+"/app-4 dry-run failed", "(Forbidden)", "labguard: container app: image "+old, "is stale", "go back to "+fresh)
	if one, two := r.at("one"), r.at("two"); one != 30 || two != 0 {
		t.Errorf("%d objects are as they were, %d are of the new commit", one, two)
	}
	r.succeeds(r.commit(thirty("Deny", "three", fresh, fresh)))
	if got := r.at("three"); got != 30 {
		t.Errorf("%d objects are of the commit that mends it", got)
	}
}

func hold(t *testing.T, flux *controller) {
	r := newRepository(t, "kustomization.yaml", plenty)
	fresh, old := thirtyFresh(t, r, "Hold")
	r.change(fmt.Sprintf(`{"timeout":%q}`, short))
	revision := r.commit(thirty("Hold", "two", fresh, old))
	ready := r.applied(revision)
	t.Logf("Flux says with wait: %s: %s", ready.Reason, ready.Message)
	if ready.Status != metav1.ConditionFalse || ready.Reason != "HealthCheckFailed" {
		t.Errorf("it is %s/%s", ready.Status, ready.Reason)
	}
	says(t, ready.Message, "Deployment/"+r.namespace+"/app-4 status: 'InProgress'")
	if strings.Count(ready.Message, "status: 'InProgress'") != 1 {
		t.Errorf("more than one is waited for: %s", ready.Message)
	}
	if got := r.at("two"); got != 30 {
		t.Errorf("%d objects are of the commit", got)
	}
	held := r.get(apps, "Deployment", "app-4")
	if paused, _, err := unstructured.NestedBool(held.Object, "spec", "paused"); !paused || err != nil || held.GetAnnotations()[v1alpha1.HoldAnnotation] == "" {
		t.Errorf("it is not held: %v, %v", held.Object["spec"], err)
	}
	if got := owners(held, "spec", "paused"); len(got) > 0 {
		t.Errorf("spec.paused of what is held is owned by %v", got)
	}
	r.change(`{"wait":false}`)
	before := r.quiet()
	for range 3 {
		r.sync()
	}
	if ready := r.applied(revision); ready.Status != metav1.ConditionTrue {
		t.Errorf("without wait Flux says %s: %s", ready.Reason, ready.Message)
	}
	if changed := differences(before, r.quiet()); len(changed) > 0 {
		t.Errorf("three syncs of what is held wrote: %v", changed)
	}
	if operator.Push(t, "flux/hold:2", day) != old { // a fresh build under the same tag
		t.Fatal("another tag")
	}
	operator.Eventually(t, "labguard releases it", func() error {
		if _, marked := r.get(apps, "Deployment", "app-4").GetAnnotations()[v1alpha1.HoldAnnotation]; marked {
			return errors.New("it is held")
		}
		return nil
	})
	r.change(fmt.Sprintf(`{"wait":true,"timeout":%q}`, plenty))
	if ready := r.applied(revision); ready.Status != metav1.ConditionTrue {
		t.Errorf("after the release Flux says %s: %s", ready.Reason, ready.Message)
	}
	owned(t, r.get(apps, "Deployment", "app-4"), "replicas", "template")
	for _, request := range flux.writes() {
		if strings.HasPrefix(request, "DELETE") {
			t.Errorf("Flux deleted: %s", request)
		}
	}
}

const set = `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: archive, labels: {commit: %[2]q}}
spec:
  serviceName: archive
  replicas: 3
  selector: {matchLabels: {app: archive}}
  updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 2}}
  template:
    metadata: {labels: {app: archive, area: laboratory}}
    spec: {containers: [{name: app, image: %[1]q}]}
`

// heldFields has Git declare the fields that a hold takes.
func heldFields(t *testing.T) {
	r := newRepository(t, "kustomization.yaml", plenty, func(spec map[string]any) { spec["wait"] = false })
	fresh, old := operator.Push(t, "flux/fields:1", 10*day), operator.Push(t, "flux/fields:2", 200*day)
	files := func(commit, image string) map[string]string {
		return map[string]string{
			"guard.yaml": guard(commit, "Hold", ""), "lis.yaml": software("lis", image, commit, "  paused: false\n"), "archive.yaml": fmt.Sprintf(set, image, commit),
		}
	}
	r.succeeds(r.commit(files("one", fresh)))
	kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "labworkload/laboratory", "-n", r.namespace)
	kubectl(t, "rollout", "status", "statefulset/archive", "--timeout=60s", "-n", r.namespace)
	fields := func() string {
		d, s := r.get(apps, "Deployment", "lis"), r.get(apps, "StatefulSet", "archive")
		paused, _, err := unstructured.NestedFieldNoCopy(d.Object, "spec", "paused")
		if err != nil {
			t.Fatal(err)
		}
		partition, _, err := unstructured.NestedFieldNoCopy(s.Object, "spec", "updateStrategy", "rollingUpdate", "partition")
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("paused %v of %v, partition %v of %v", paused, owners(d, "spec", "paused"),
			partition, owners(s, "spec", "updateStrategy", "rollingUpdate", "partition"))
	}
	declared := fields()
	r.succeeds(r.commit(files("two", old)))
	held := fields()
	t.Logf("declared: %s; held: %s", declared, held)
	// Flux leaves a paused that is false out of what it applies.
	if want := "paused true of [], partition 2147483647 of [" + byFlux + "]"; held != want {
		t.Errorf("%s, want %s", held, want)
	}
	before := r.quiet()
	for range 3 {
		r.sync()
	}
	if changed := differences(before, r.quiet()); len(changed) > 0 {
		t.Errorf("three syncs of what is held wrote: %v", changed)
	}
	r.succeeds(r.commit(files("three", fresh)))
	operator.Eventually(t, "both are released as Git has them", func() error {
		if now := fields(); now != declared {
			return fmt.Errorf("%s, want %s", now, declared)
		}
		return nil
	})
	r.sync()
	if now := fields(); now != declared {
		t.Errorf("after another sync: %s, want %s", now, declared)
	}
	owned(t, r.get(apps, "Deployment", "lis"), "replicas", "template")
	owned(t, r.get(apps, "StatefulSet", "archive"), "replicas", "template", "updateStrategy")
}
