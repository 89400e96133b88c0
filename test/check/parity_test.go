// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	imagename "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/manifests"
	"github.com/labguard/labguard/internal/testutil/operator"
)

const (
	day = 24 * time.Hour
	// name is before the names of the namespaces.
	name = "check"
)

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, cluster.WithCRDs("../../config/crd/bases", "testdata/rollouts.yaml")))
}

// resources are those of the kinds of the corpus.
var resources = map[string]schema.GroupVersionResource{
	"Deployment": {Group: "apps", Version: "v1", Resource: "deployments"}, "StatefulSet": {Group: "apps", Version: "v1", Resource: "statefulsets"},
	"DaemonSet": {Group: "apps", Version: "v1", Resource: "daemonsets"}, "ReplicaSet": {Group: "apps", Version: "v1", Resource: "replicasets"},
	"Job": {Group: "batch", Version: "v1", Resource: "jobs"}, "CronJob": {Group: "batch", Version: "v1", Resource: "cronjobs"},
	"Pod": {Version: "v1", Resource: "pods"}, "ReplicationController": {Version: "v1", Resource: "replicationcontrollers"},
	"Rollout": {Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"},
}

// answer is what becomes of one object. Texts are what labguard says of its images, without what follows from when it was asked.
type answer struct {
	Verdict string
	Texts   []string
}

func answerOf(verdict string, texts []string) answer {
	got := answer{Verdict: verdict}
	for _, text := range texts {
		text = strings.TrimPrefix(text, "labguard: ")
		text, _, _ = strings.Cut(text, "; stale since") // what follows says what the tag means by now, as far as somebody has asked
		if strings.HasPrefix(text, "container ") || strings.HasPrefix(text, "MutableTag: ") {
			got.Texts = append(got.Texts, text)
		}
	}
	slices.Sort(got.Texts)
	return got
}

// warnings gathers those of one request.
type warnings struct {
	lock  sync.Mutex
	texts []string
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.texts = append(w.texts, text)
}

// created asks the API server, as a dry run, so that no object of the corpus makes another one's image known.
func created(t *testing.T, object *unstructured.Unstructured) (answer, error) {
	t.Helper()
	told := &warnings{}
	config := rest.CopyConfig(cluster.Config())
	config.WarningHandler = told
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := client.Resource(resources[object.GetKind()]).Namespace(object.GetNamespace()).
		Create(t.Context(), object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	labguards := slices.ContainsFunc(told.texts, func(text string) bool { return strings.HasPrefix(text, "labguard: ") })
	switch {
	case err != nil && strings.Contains(err.Error(), "denied the request: labguard: "):
		_, message, _ := strings.Cut(err.Error(), "denied the request: ")
		return answerOf("Refuses", append(strings.Split(message, "\n"), told.texts...)), nil
	case err != nil:
		return answer{}, err
	case strings.HasPrefix(stored.GetAnnotations()["labguard.dev/hold"], "{"):
		return answerOf("Holds", told.texts), nil
	case labguards:
		return answerOf("Warns", told.texts), nil
	default:
		return answerOf("RollsOut", nil), nil
	}
}

// checked is what the plugin says, by kind and name.
func checked(t *testing.T, plugin string, arguments ...string) map[string]answer {
	t.Helper()
	command := exec.CommandContext(t.Context(), plugin, append([]string{"check", "-o", "json", "--cache-dir", t.TempDir()}, arguments...)...)
	var out, told bytes.Buffer
	command.Stdout, command.Stderr = &out, &told
	var code *exec.ExitError
	if err := command.Run(); !errors.As(err, &code) || code.ExitCode() != 1 {
		t.Fatalf("it ends with %v, want 1, as much of the corpus is refused: %s", err, told.String())
	}
	var report struct {
		Results []struct {
			Kind, Namespace, Name, Verdict string
			Findings                       []struct{ Rule, Effect, Message string }
		}
		Broken []any
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || len(report.Broken) > 0 {
		t.Fatalf("%v: %v", err, report.Broken)
	}
	answers := map[string]answer{}
	for _, one := range report.Results {
		var texts []string
		for _, finding := range one.Findings {
			text := finding.Message
			if finding.Rule == "MutableTag" {
				text = "MutableTag: " + text
			}
			if one.Verdict == "Refuses" && finding.Effect == "Holds" {
				continue // what would be held is not said of what is refused
			}
			texts = append(texts, text)
		}
		if one.Verdict == "NotAsked" {
			one.Verdict = "RollsOut"
		}
		answers[one.Kind+" "+one.Namespace+"/"+one.Name] = answerOf(one.Verdict, texts)
	}
	return answers
}

func push(t *testing.T) manifests.Images {
	t.Helper()
	images := manifests.Images{
		Fresh: operator.Push(t, "lab/lis:fresh", 10*day), Stale: operator.Push(t, "lab/lis:stale", 200*day), Young: operator.Push(t, "lab/lis:young", time.Hour),
		Undated: operator.Push(t, "lab/distroless:1", 0), Missing: cluster.RegistryHost() + "/lab/gone:1", Exempt: operator.Push(t, "vendor/lis:1", 900*day),
		ExemptRepository: cluster.RegistryHost() + "/vendor/lis",
	}
	images.Latest = strings.TrimSuffix(operator.Push(t, "lab/rolling:latest", 10*day), ":latest")
	digest := func(reference string) string {
		parsed, err := imagename.ParseReference(reference, imagename.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		found, err := remote.Head(parsed, remote.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		return found.Digest.String()
	}
	images.FreshDigest = cluster.RegistryHost() + "/lab/lis@" + digest(images.Fresh)
	images.StaleDigest = cluster.RegistryHost() + "/lab/lis@" + digest(images.Stale)
	images.StaleBoth = images.Fresh + "@" + digest(images.Stale)
	return images
}

// objectsOf are the objects of a file that the gate judges, as kubectl reads them.
func objectsOf(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		one := &unstructured.Unstructured{}
		if err := decoder.Decode(&one.Object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if one.IsList() {
			if err := one.EachListItem(func(item runtime.Object) error {
				all = append(all, item.(*unstructured.Unstructured))
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if _, judged := resources[one.GetKind()]; judged {
			all = append(all, one)
		}
	}
	return all
}

func TestTheAPIServerGivesTheSameAnswerToEachObjectOfTheCorpus(t *testing.T) {
	operator.Start(t, operator.Options{})
	images := push(t)
	for _, namespace := range manifests.Namespaces(name) {
		if _, err := cluster.Kubectl(t, "create", "namespace", namespace); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = cluster.Kubectl(t, "delete", "namespace", namespace, "--wait=false") })
	}
	dir := t.TempDir()
	plugin := filepath.Join(dir, "kubectl-labguard")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", plugin, "../../cmd/kubectl-labguard").CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, out)
	}
	write := func(file, text string) string {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	workloads, config := write("labworkloads.yaml", manifests.LabWorkloads(name, images)), write("configuration.yaml", operator.Configuration())
	if _, err := cluster.Kubectl(t, "apply", "-f", workloads); err != nil {
		t.Fatal(err)
	}
	want := map[string]answer{}
	var all []*unstructured.Unstructured
	for _, file := range manifests.Files(name, images) {
		write("corpus/"+file.Name, file.Text)
		all = append(all, objectsOf(t, file.Text)...)
	}
	awaitGate(t, images)
	for _, object := range all {
		told, err := created(t, object)
		if err != nil {
			t.Errorf("%s %s: the API server refuses it, and not for labguard: %v", object.GetKind(), object.GetName(), err)
			continue
		}
		key := object.GetName()
		if key == "" {
			key = object.GetGenerateName() + "*"
		}
		want[object.GetKind()+" "+object.GetNamespace()+"/"+key] = told
	}
	if len(want) < 100 {
		t.Fatalf("only %d objects", len(want))
	}
	for how, arguments := range map[string][]string{
		"by the LabWorkloads among the manifests": {"-f", filepath.Join(dir, "corpus"), "-f", workloads, "--config", config},
		"by those of the cluster":                 {"-f", filepath.Join(dir, "corpus"), "--cluster", "--kubeconfig", cluster.Kubeconfig(), "--config", config},
	} {
		t.Run(how, func(t *testing.T) {
			if diff := cmp.Diff(want, checked(t, plugin, arguments...)); diff != "" {
				t.Errorf("(-API server +check):\n%s", diff)
			}
		})
	}
	t.Logf("%d objects", len(want))
}

// awaitGate waits until the gate stands in all namespaces that enforce.
func awaitGate(t *testing.T, images manifests.Images) {
	t.Helper()
	for _, namespace := range manifests.Enforcing(name) {
		operator.Eventually(t, "the gate stands in "+namespace, func() error {
			probe := objectsOf(t, manifests.Manifest("Deployment", namespace, "probe", "containers: [{name: c, image: "+images.Stale+"}]"))[0]
			told, err := created(t, probe)
			switch {
			case err != nil:
				return err
			case told.Verdict == "RollsOut":
				return fmt.Errorf("a stale image rolls out")
			}
			return nil
		})
	}
	// A service account has to be there before pods can be.
	operator.Eventually(t, "pods can be created", func() error {
		probe := objectsOf(t, manifests.Manifest("Pod", name+"-free", "probe", "containers: [{name: c, image: "+images.Fresh+"}]"))[0]
		_, err := created(t, probe)
		return err
	})
}
