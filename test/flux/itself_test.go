// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package flux

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/kubelet"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// TestFluxInstallsLabguard does it as docs/gitops/flux/labguard.yaml says, and takes it away again. A kubelet that is played runs the pods: that labguard does
// its work in a cluster is tried elsewhere.
func TestFluxInstallsLabguard(t *testing.T) {
	const system = "labguard-system"
	kubelet.Start(t, "node-of-labguard")
	flux := start(t)
	image, err := name.ParseReference(operator.Push(t, "labguard/manager:1", day), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := remote.Head(image, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	ofImage := func(spec map[string]any) {
		delete(spec, "targetNamespace")
		spec["prune"] = true
		ours := spec["images"].([]any)[0].(map[string]any)
		ours["newName"], ours["digest"] = image.Context().Name(), pushed.Digest.String()
	}
	r := newRepository(t, "labguard.yaml", plenty, ofImage)
	files := manifests(t, r.folder)
	r.succeeds(r.commit(files))
	kubectl(t, "wait", "--for=condition=Available", "--timeout=0", "deployment/labguard", "-n", system)
	if runs := kubectl(t, "get", "deployment/labguard", "-n", system, "-o", "jsonpath={..containers[*].image}"); runs != image.Context().Name()+"@"+pushed.Digest.String() {
		t.Errorf("it runs %s", runs)
	}
	wrote, compared := len(flux.writes()), flux.comparisons()
	began := time.Now()
	for range 10 {
		r.sync()
	}
	compared = flux.comparisons() - compared
	t.Logf("ten syncs, %s: %d comparisons", time.Since(began).Round(time.Second), compared)
	if more := flux.writes()[wrote:]; len(more) > 0 || wrote == 0 || compared < 10*wrote/2 {
		t.Errorf("after %d writes and %d comparisons Flux wrote:\n%s", wrote, compared, strings.Join(more, "\n"))
	}

	lab := filepath.Join(t.TempDir(), "lab.yaml")
	if err := os.WriteFile(lab, []byte(guard("one", "Deny", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "apply", "-n", r.namespace, "-f", lab)
	remains := func(when string) {
		t.Helper()
		for _, what := range []string{"labworkload/laboratory", "crd/labworkloads.labguard.dev", "crd/rolloutrecords.labguard.dev"} {
			if _, err := cluster.Kubectl(t, "get", what, "-n", r.namespace, "-o", "jsonpath={.metadata.name}"); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
	}
	files["kustomization.yaml"] = strings.Replace(files["kustomization.yaml"], "- ../crd\n", "", 1)
	delete(files, "../rbac/user_roles.yaml")
	files["../rbac/kustomization.yaml"] = strings.Replace(files["../rbac/kustomization.yaml"], "- user_roles.yaml\n", "", 1)
	r.succeeds(r.commit(files))
	if _, err := cluster.Kubectl(t, "get", "clusterrole/labguard-view"); err == nil {
		t.Error("what has left the repository is not pruned: nothing is shown about the definitions")
	}
	remains("the definitions have left the repository")
	r.remove(r.object(kustomizations, "Kustomization"))
	kubectl(t, "get", "clusterrole/labguard-webhook-anchor")
	kubectl(t, "get", "deployment/labguard", "-n", system)
	remains("the Kustomization is deleted")
	again := newRepository(t, "labguard.yaml", plenty, func(spec map[string]any) {
		spec["deletionPolicy"] = "Delete"
		ofImage(spec)
	})
	again.succeeds(again.commit(files))
	again.remove(again.object(kustomizations, "Kustomization"))
	kubectl(t, "wait", "--for=delete", "--timeout=120s", "namespace/"+system)
	kubectl(t, "wait", "--for=delete", "--timeout=10s", "clusterrole/labguard-webhook-anchor")
	remains("Flux has removed labguard")
}

// manifests are those of config in this checkout, named as they lie from one folder of it.
func manifests(t *testing.T, from string) map[string]string {
	t.Helper()
	found := map[string]string{}
	if err := filepath.WalkDir(filepath.Join(root, "config"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(filepath.Join(root, from), path)
		found[name] = string(content)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return found
}
