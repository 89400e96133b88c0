// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	program "github.com/labguard/labguard/internal/e2e/lab"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/image"
	"github.com/labguard/labguard/internal/testutil/node"
)

// waits is the label of the app whose rollout is held, and the name of its LabWorkload.
const waits = "archive"

// laboratory is what works while labguard comes and goes: an information system with its analyser, each with the sidecar. In a namespace of its own there is
// an archive, whose rollouts are held.
type laboratory struct {
	*desk
	clients            *kubernetes.Clientset
	namespace, archive string
	// image is the reference of the programs, content what it is, without a date and with a command that does nothing.
	image   string
	content v1.Image
	// journals is the folder on the node in which the information system writes what it has processed.
	journals string
}

func newLaboratory(t *testing.T, d *desk) *laboratory {
	t.Helper()
	clients, err := kubernetes.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	l := &laboratory{desk: d, clients: clients, namespace: cluster.Namespace(t), archive: cluster.Namespace(t), journals: filepath.Join(cluster.Dir(), "journals")}
	if err := os.MkdirAll(l.journals, 0o755); err != nil { //nolint:gosec // pods write their journals here
		t.Fatal(err)
	}
	l.image = node.Push(t, image.Program{Package: "../lab/program", Repository: "lab"})
	found, err := remote.Image(l.outside(l.image), remote.WithContext(t.Context()))
	if err == nil {
		found, err = mutate.CreatedAt(found, v1.Time{})
	}
	if err == nil {
		var config *v1.ConfigFile
		if config, err = found.ConfigFile(); err == nil {
			config = config.DeepCopy()
			config.Config.Cmd = []string{"sleep"}
			l.content, err = mutate.Config(found, config.Config)
		}
	}
	if err != nil {
		t.Fatalf("make the image of what does nothing: %v", err)
	}
	return l
}

// outside is how the machine itself reaches an image of the cluster's registry.
func (l *laboratory) outside(reference string) name.Reference {
	l.Helper()
	_, path, _ := strings.Cut(reference, "/")
	parsed, err := name.ParseReference(cluster.RegistryHost()+"/"+path, name.Insecure)
	if err != nil {
		l.Fatal(err)
	}
	return parsed
}

// stale pushes an image that is older than what LabWorkloads let in, and returns its reference.
func (l *laboratory) stale(tag string) string {
	l.Helper()
	const old = 200 * 24 * time.Hour
	reference := cluster.Node().Registry + "/lab/archive:" + tag
	content, err := mutate.CreatedAt(l.content, v1.Time{Time: time.Now().Add(-old).UTC()})
	if err == nil {
		err = remote.Write(l.outside(reference), content, remote.WithContext(l.Context()))
	}
	if err != nil {
		l.Fatalf("push %s: %v", reference, err)
	}
	return reference
}

// open declares the laboratory and starts it. labguard is at work.
func (l *laboratory) open() {
	l.Helper()
	begun := time.Now()
	l.apply(l.namespace, labWorkload("lis", sidecar+ports("analyzer"))+labWorkload("analyzer", sidecar))
	l.apply(l.archive, labWorkload(waits, "\n  images: {maxAge: 2160h, onStale: Hold}"))
	for namespace, names := range map[string][]string{l.namespace: {"lis", "analyzer"}, l.archive: {waits}} {
		for _, one := range names {
			l.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "-n", namespace, "labworkload/"+one)
		}
	}
	l.apply(l.namespace, l.deployment("lis", "lis", "--listen=:2575", "--journal=/journals/$(POD)")+
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: lis}\nspec: {selector: {app: lis}, ports: [{port: 2575, targetPort: 2575}]}\n")
	l.until("pods of the analyzer get the name of the lis", func() error {
		if names := l.kubectl("get", "airlockprofiles", "-n", l.namespace, "-o", "jsonpath={.items[*].spec.current.hostAliases[*].hostnames}"); !strings.Contains(names, `"lis"`) {
			return fmt.Errorf("they get %q", names)
		}
		return nil
	})
	l.apply(l.namespace, l.deployment("analyzer", "analyzer", "--target=lis:2575", "--final=/journals/final-$(POD)"))
	l.apply(l.archive, l.deployment(waits, "sleep"))
	for namespace, names := range map[string][]string{l.namespace: {"lis", "analyzer"}, l.archive: {waits}} {
		for _, one := range names {
			l.kubectl("rollout", "status", "-n", namespace, "deployment/"+one, "--timeout=120s")
		}
	}
	for _, pod := range l.pods() {
		if len(pod.Spec.InitContainers) == 0 || pod.Spec.InitContainers[0].Name != "airlock" {
			l.Fatalf("pod %s has no sidecar", pod.Name)
		}
	}
	l.flows()
	l.until("the status of the analyzer says when the lis has last let its airlock in", func() error {
		upstreams := l.kubectl("get", "labworkload", "-n", l.namespace, "analyzer", "-o", "jsonpath={range .status.transit.upstreams[*]}{.name} {.lastHandshake}{end}")
		if at, found := strings.CutPrefix(upstreams, l.namespace+"/lis:2575 "); !found || at == "" {
			return fmt.Errorf("it says %q", upstreams)
		}
		return nil
	})
	l.Logf("the laboratory works, each pod with its sidecar (%s)", time.Since(begun).Round(time.Second))
}

const sidecar = "\n  images: {maxAge: 2160h}\n  encryption:\n    inTransit:\n      provider: Sidecar\n      stage: Permissive\n      issuerRef: {name: lab-ca}"

func ports(client string) string {
	return "\n      ports:\n      - {name: mllp, port: 2575, allowFrom: [{labWorkload: {name: " + client + "}}]}"
}

// labWorkload governs app=<name>.
func labWorkload(name, more string) string {
	return fmt.Sprintf("---\napiVersion: labguard.dev/v1alpha1\nkind: LabWorkload\nmetadata: {name: %[1]s}\n"+
		"spec:\n  selector: {matchLabels: {app: %[1]s}}\n  enforcement: Enforce%[2]s\n", name, more)
}

func (l *laboratory) deployment(name string, arguments ...string) string {
	return fmt.Sprintf(`---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers:
      - name: main
        image: %[2]s
        args: ["%[3]s"]
        env: [{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
        volumeMounts: [{name: journals, mountPath: /journals}]
      volumes: [{name: journals, hostPath: {path: %[4]s}}]
`, name, l.image, strings.Join(arguments, `", "`), l.journals)
}

// pods are those of the information system and the analyser.
func (l *laboratory) pods() []corev1.Pod {
	l.Helper()
	list, err := l.clients.CoreV1().Pods(l.namespace).List(context.WithoutCancel(l.Context()), metav1.ListOptions{})
	if err != nil {
		l.Fatal(err)
	}
	return list.Items
}

// flows waits until the analyser has had some more answers.
func (l *laboratory) flows() {
	l.Helper()
	const more = 20
	var from int64 = -1
	l.until(fmt.Sprintf("the analyser has %d more answers", more), func() error {
		stats, err := l.stats()
		if err != nil {
			return err
		}
		if from < 0 {
			from = stats.Acknowledged
		}
		if stats.Acknowledged < from+more {
			return fmt.Errorf("%+v, from %d", stats, from)
		}
		return nil
	})
}

func (l *laboratory) stats() (program.Stats, error) {
	var stats program.Stats
	list, err := l.clients.CoreV1().Pods(l.namespace).List(context.WithoutCancel(l.Context()), metav1.ListOptions{LabelSelector: "app=analyzer"})
	if err != nil || len(list.Items) != 1 || list.Items[0].Status.PodIP == "" {
		return stats, fmt.Errorf("the analyser has %d pods: %w", len(list.Items), err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.Context()), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+list.Items[0].Status.PodIP+":8090/stats", http.NoBody)
	if err != nil {
		return stats, err
	}
	response, err := (&http.Client{Transport: &http.Transport{DialContext: node.Dial, DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return stats, err
	}
	defer func() { _ = response.Body.Close() }()
	err = json.NewDecoder(response.Body).Decode(&stats)
	return stats, err
}

// held says whether the rollout of the archive is held.
func (l *laboratory) held() (bool, error) {
	answer, err := l.kubectlWith(context.WithoutCancel(l.Context()), "", "get", "deployment", "-n", l.archive, waits, "-o",
		`jsonpath={.spec.paused},{.metadata.annotations.labguard\.dev/hold}`)
	if err != nil {
		return false, err
	}
	paused, mark, _ := strings.Cut(answer, ",")
	if (paused == "true") != (mark != "") {
		return false, fmt.Errorf("paused %q, labguard.dev/hold %q: one without the other", paused, mark)
	}
	return mark != "", nil
}

// hold rolls a stale image out to the archive, which is held. The gate may just be on its way: what it would do is asked first.
func (l *laboratory) hold(tag string) {
	l.Helper()
	reference := l.stale(tag)
	words := []string{"set", "image", "-n", l.archive, "deployment/" + waits, "main=" + reference}
	l.until("a stale image would be held", func() error {
		answer, err := l.kubectlWith(context.WithoutCancel(l.Context()), "", append(words, "--dry-run=server", "-o", "yaml")...)
		if err == nil && !strings.Contains(answer, "labguard.dev/hold") {
			err = errors.New("nobody holds it")
		}
		return err
	})
	l.kubectl(words...)
	l.holds()
}

// holds fails the test unless the rollout of the archive is held and its pod is the old one.
func (l *laboratory) holds() {
	l.Helper()
	if held, err := l.held(); err != nil || !held {
		l.Fatalf("the rollout of the archive is held: %v, %v", held, err)
	}
}

// released waits until nothing holds the archive, and it has rolled out.
func (l *laboratory) released() {
	l.Helper()
	l.until("the rollout of the archive is released", func() error {
		held, err := l.held()
		if err == nil && held {
			err = errors.New("it is held")
		}
		return err
	})
	l.kubectl("rollout", "status", "-n", l.archive, "deployment/"+waits, "--timeout=120s")
}

// balance ends the analyser, and fails the test if one of its messages was lost or processed twice.
func (l *laboratory) balance() {
	l.Helper()
	l.kubectl("scale", "-n", l.namespace, "deployment/analyzer", "--replicas=0")
	l.kubectl("wait", "-n", l.namespace, "pod", "-l", "app=analyzer", "--for=delete", "--timeout=120s")
	var sent program.Stats
	var journal strings.Builder
	files, err := filepath.Glob(filepath.Join(l.journals, "*"))
	for _, file := range files {
		var content []byte
		if content, err = os.ReadFile(file); err != nil {
			break
		}
		if !strings.HasPrefix(filepath.Base(file), "final-") {
			journal.Write(content)
		} else if err = json.Unmarshal(content, &sent); err != nil {
			break
		}
	}
	if err != nil {
		l.Fatal(err)
	}
	processed, doubled, err := program.Balance("analyzer-", strings.NewReader(journal.String()))
	l.Logf("messages: sent %d, acknowledged %d, sent again %d (%s), processed %d, doubled %v, slowest %d ms",
		sent.Sent, sent.Acknowledged, sent.Again, sent.LastError, processed, doubled, sent.SlowestMillis)
	if err != nil || sent.Sent == 0 || sent.Sent != sent.Acknowledged || int64(processed) != sent.Sent || len(doubled) > 0 {
		l.Errorf("the balance of the laboratory is wrong: %v", err)
	}
}
