// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package flux

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/operator"
)

const (
	kustomizations = "kustomize.toolkit.fluxcd.io/v1"
	repositories   = "source.toolkit.fluxcd.io/v1"
	// requestedAt is what `flux reconcile` sets.
	requestedAt = "reconcile.fluxcd.io/requestedAt"
)

// repository is a Git repository, and the Kustomization that applies its files to one namespace.
type repository struct {
	*testing.T
	client.Client
	namespace string
	// folder is what the Kustomization applies.
	folder string
	// content is what the repository has now, packed.
	content atomic.Pointer[[]byte]
	server  *httptest.Server
	commits int
	syncs   int
	// alone says that no other test runs, so that what is in no namespace is of this one.
	alone bool
}

// kustomization is what Flux says of one.
type kustomization struct {
	Generation int64
	Status     struct {
		ObservedGeneration     int64              `json:"observedGeneration"`
		LastAppliedRevision    string             `json:"lastAppliedRevision"`
		LastAttemptedRevision  string             `json:"lastAttemptedRevision"`
		LastHandledReconcileAt string             `json:"lastHandledReconcileAt"`
		Conditions             []metav1.Condition `json:"conditions"`
	} `json:"status"`
}

// newRepository makes a namespace, an empty repository, and a Kustomization that is the one of a file of docs/gitops/flux but for where it applies to, how
// long it waits, and what the test changes. It goes with the test, what it has applied goes with the namespace.
func newRepository(t *testing.T, file string, timeout time.Duration, change ...func(spec map[string]any)) *repository {
	t.Helper()
	c, err := client.New(cluster.Config(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := &repository{T: t, Client: c, namespace: cluster.Namespace(t)}
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(*r.content.Load()) }))
	t.Cleanup(r.server.Close)
	content, err := os.ReadFile(path.Join("../../docs/gitops/flux", file))
	if err != nil {
		t.Fatal(err)
	}
	// The Kustomization is the last object of its file.
	documents := strings.Split(string(content), "\n---\n")
	applied := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict([]byte(documents[len(documents)-1]), &applied.Object); err != nil {
		t.Fatal(err)
	}
	spec := applied.Object["spec"].(map[string]any)
	r.folder = spec["path"].(string)
	spec["targetNamespace"], spec["timeout"], spec["retryInterval"], spec["prune"] = r.namespace, timeout.String(), "1h", false
	spec["sourceRef"].(map[string]any)["name"] = r.namespace
	for _, one := range change {
		one(spec)
	}
	applied.SetName(r.namespace)
	source := r.object(repositories, "GitRepository")
	source.Object["spec"] = map[string]any{"interval": "1h", "url": "https://git.example/laboratory"}
	for _, object := range []*unstructured.Unstructured{source, applied} {
		if err := r.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.remove(object) })
	}
	return r
}

// remove deletes an object and waits until it is gone, for which the controller has to run.
func (r *repository) remove(object client.Object) {
	r.Helper()
	ctx := context.WithoutCancel(r.Context())
	if err := r.Delete(ctx, object); client.IgnoreNotFound(err) != nil {
		r.Error(err)
	}
	operator.Eventually(r, object.GetName()+" is gone", func() error {
		if err := r.Get(ctx, client.ObjectKeyFromObject(object), object); !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("it is there"), err)
		}
		return nil
	})
}

// object is one of the two objects of Flux, by its name alone.
func (r *repository) object(apiVersion, kind string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetAPIVersion(apiVersion)
	object.SetKind(kind)
	object.SetNamespace(fluxSystem)
	object.SetName(r.namespace)
	return object
}

// commit makes files the content of the repository, as source-controller does, and returns the revision.
func (r *repository) commit(files map[string]string) string {
	r.Helper()
	content, err := archive(r.folder, files)
	if err != nil {
		r.Fatal(err)
	}
	r.commits++
	sum := fmt.Sprintf("%x", sha256.Sum256(content))
	revision := fmt.Sprintf("main@sha1:%040x", r.commits)
	r.content.Store(&content)
	source := r.object(repositories, "GitRepository")
	now := time.Now().UTC().Format(time.RFC3339)
	status, err := json.Marshal(map[string]any{"status": map[string]any{
		"observedGeneration": 1,
		"artifact": map[string]any{
			"path": sum, "url": r.server.URL + "/" + sum + ".tar.gz", "revision": revision, "digest": "sha256:" + sum, "lastUpdateTime": now, "size": len(content),
		},
		"conditions": []any{map[string]any{
			"type": "Ready", "status": "True", "reason": "Succeeded", "message": "stored artifact", "observedGeneration": 1, "lastTransitionTime": now,
		}},
	}})
	if err != nil {
		r.Fatal(err)
	}
	if err := r.Status().Patch(r.Context(), source, client.RawPatch("application/merge-patch+json", status)); err != nil {
		r.Fatal(err)
	}
	return revision
}

// archive is the content of a repository as source-controller serves it.
func archive(folder string, files map[string]string) ([]byte, error) {
	var content bytes.Buffer
	compressed := gzip.NewWriter(&content)
	packed := tar.NewWriter(compressed)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file := files[name]
		if err := packed.WriteHeader(&tar.Header{Name: path.Join(folder, name), Mode: 0o644, Size: int64(len(file))}); err != nil {
			return nil, err
		}
		if _, err := packed.Write([]byte(file)); err != nil {
			return nil, err
		}
	}
	err := errors.Join(packed.Close(), compressed.Close())
	return content.Bytes(), err
}

// sync asks Flux to reconcile once more, as `flux reconcile` does, and waits until it has.
func (r *repository) sync() {
	r.Helper()
	r.syncs++
	token := strconv.Itoa(r.syncs)
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, requestedAt, token)
	if err := r.Patch(r.Context(), r.object(kustomizations, "Kustomization"), client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		r.Fatal(err)
	}
	r.until("sync "+token+" is handled", func(k kustomization) error {
		if k.Status.LastHandledReconcileAt != token {
			return fmt.Errorf("the last one is %q", k.Status.LastHandledReconcileAt)
		}
		return nil
	})
}

// change changes the spec of the Kustomization by a merge patch, and waits until Flux is content with it.
func (r *repository) change(spec string) {
	r.Helper()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":`+spec+`}`))
	if err := r.Patch(r.Context(), r.object(kustomizations, "Kustomization"), patch); err != nil {
		r.Fatal(err)
	}
	r.until("Flux is content with "+spec, func(k kustomization) error {
		if k.Status.ObservedGeneration != k.Generation {
			return errors.New("it is not")
		}
		return nil
	})
}

// applied waits until Flux has done with a revision, and returns its condition Ready.
func (r *repository) applied(revision string) metav1.Condition {
	r.Helper()
	k := r.until("Flux has done with "+revision, func(k kustomization) error {
		ready := meta.FindStatusCondition(k.Status.Conditions, "Ready")
		reconciling := meta.FindStatusCondition(k.Status.Conditions, "Reconciling")
		if k.Status.LastAttemptedRevision != revision || ready == nil || ready.Status == metav1.ConditionUnknown ||
			reconciling != nil && reconciling.Reason != "ProgressingWithRetry" {
			return errors.New("it has not")
		}
		return nil
	})
	return *meta.FindStatusCondition(k.Status.Conditions, "Ready")
}

// succeeds waits until Flux has done with a revision, and fails the test unless it is content.
func (r *repository) succeeds(revision string) {
	r.Helper()
	if ready := r.applied(revision); ready.Status != metav1.ConditionTrue {
		r.Fatalf("Flux says: %s: %s", ready.Reason, ready.Message)
	}
}

// until waits until Flux says what it should.
func (r *repository) until(what string, fine func(kustomization) error) kustomization {
	r.Helper()
	var k kustomization
	operator.Eventually(r, what, func() error {
		object := r.object(kustomizations, "Kustomization")
		if err := r.Get(r.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			return err
		}
		encoded, err := json.Marshal(object.Object)
		if err != nil {
			return err
		}
		k = kustomization{}
		if err := json.Unmarshal(encoded, &k); err != nil {
			return err
		}
		k.Generation = object.GetGeneration()
		if err := fine(k); err != nil {
			return fmt.Errorf("%w: %+v", err, k.Status)
		}
		return nil
	})
	return k
}
