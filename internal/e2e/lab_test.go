// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

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

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	program "github.com/labguard/labguard/internal/e2e/lab"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/node"
)

const (
	pollEvery = 100 * time.Millisecond
	// patience bounds waits that normally end within seconds.
	patience = 2 * time.Minute
)

// lab is one namespace with programs of a laboratory, on a cluster with labguard.
type lab struct {
	testing.TB
	client.Client
	namespace string
	// journals is the folder on the node in which the information systems write what they have processed.
	journals string
	image    string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	made := installed(t)
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cluster.Config(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	namespace := cluster.Namespace(t)
	l := &lab{TB: t, Client: c, namespace: namespace, image: made.lab, journals: filepath.Join(cluster.Dir(), "journals-"+namespace)}
	if err := os.MkdirAll(l.journals, 0o755); err != nil { //nolint:gosec // pods write their journals here
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			l.explain()
		}
	})
	return l
}

// explain prints what there is, for whoever reads a failure.
func (l *lab) explain() {
	for _, words := range [][]string{
		{"get", "labworkloads,airlockprofiles,pods,services,networkpolicies", "-o", "wide", "-n", l.namespace},
		{"get", "labworkloads", "-n", l.namespace, "-o", "jsonpath={range .items[*]}{.metadata.name}{' '}{.status.transit}{'\\n'}{range .status.conditions[*]}  {.type}={.status} {.reason}: {.message}{'\\n'}{end}{end}"},
		{"get", "events", "-n", l.namespace, "--sort-by=.lastTimestamp"},
		{"logs", "-n", system, "deployment/labguard", "--tail=60"},
	} {
		output, err := kubectlWith("", words...)
		l.Logf("kubectl %s: %v\n%s", strings.Join(words, " "), err, output)
	}
}

// kubectl runs kubectl as administrator in the namespace, and fails the test if it fails.
func (l *lab) kubectl(words ...string) string {
	l.Helper()
	output, err := kubectlWith("", append([]string{"-n", l.namespace}, words...)...)
	if err != nil {
		l.Fatal(err)
	}
	return output
}

// apply applies manifests as the administrator.
func (l *lab) apply(manifest string) {
	l.Helper()
	if _, err := kubectlWith(manifest, "-n", l.namespace, "apply", "-f", "-"); err != nil {
		l.Fatal(err)
	}
}

// until waits for a condition.
func (l *lab) until(what string, met func() error) {
	l.Helper()
	l.within(patience, what, met)
}

func (l *lab) within(limit time.Duration, what string, met func() error) {
	l.Helper()
	var last error
	err := wait.PollUntilContextTimeout(context.WithoutCancel(l.Context()), pollEvery, limit, true, func(context.Context) (bool, error) {
		last = met()
		return last == nil, nil
	})
	if err != nil {
		l.Fatalf("%s: not within %s: %v", what, limit, last)
	}
}

func (l *lab) workload(name string) (*v1alpha1.LabWorkload, error) {
	workload := &v1alpha1.LabWorkload{}
	err := l.Get(context.WithoutCancel(l.Context()), client.ObjectKey{Namespace: l.namespace, Name: name}, workload)
	return workload, err
}

// stage waits until a LabWorkload is at a stage.
func (l *lab) stage(name string, stage v1alpha1.TransitStage) {
	l.Helper()
	l.until(fmt.Sprintf("LabWorkload %s is at stage %s", name, stage), func() error {
		workload, err := l.workload(name)
		if err != nil {
			return err
		}
		if workload.Status.Transit == nil || workload.Status.Transit.Stage != stage || workload.Status.ObservedGeneration != workload.Generation {
			return fmt.Errorf("it is at %+v", workload.Status.Transit)
		}
		return nil
	})
}

// condition waits for a condition.
func (l *lab) condition(name, kind string, status metav1.ConditionStatus, reason string) *metav1.Condition {
	l.Helper()
	var found *metav1.Condition
	l.until(fmt.Sprintf("LabWorkload %s: %s is %s/%s", name, kind, status, reason), func() error {
		workload, err := l.workload(name)
		if err != nil {
			return err
		}
		found = meta.FindStatusCondition(workload.Status.Conditions, kind)
		if found == nil || found.Status != status || reason != "" && found.Reason != reason || found.ObservedGeneration != workload.Generation {
			return fmt.Errorf("it is %+v, transit %+v", found, workload.Status.Transit)
		}
		return nil
	})
	return found
}

// set patches the stage that LabWorkloads ask for.
func (l *lab) set(stage v1alpha1.TransitStage, names ...string) {
	l.Helper()
	for _, name := range names {
		l.kubectl("patch", "labworkload", name, "--type=merge", "-p", fmt.Sprintf(`{"spec":{"encryption":{"inTransit":{"stage":%q}}}}`, stage))
	}
}

// observed waits until nothing but the time of observation keeps Strict from being entered, and lets that time have passed: it moves the beginning of the
// observation, which labguard keeps in the status, eight days back.
func (l *lab) observed(names ...string) {
	l.Helper()
	for _, name := range names {
		l.until("LabWorkload "+name+" waits for the end of the observation alone", func() error {
			workload, err := l.workload(name)
			if err != nil {
				return err
			}
			transit := workload.Status.Transit
			switch {
			case transit != nil && transit.Stage == v1alpha1.TransitStageStrict:
				return nil
			// Airlocks are asked every 30 seconds: nothing was seen that one of them has not told yet.
			case transit == nil || transit.ObservedSince == nil || len(transit.Blockers) != 1, time.Since(transit.ObservedSince.Time) < 40*time.Second:
				return fmt.Errorf("%+v", transit)
			}
			old := time.Now().Add(-8 * 24 * time.Hour).UTC().Format(time.RFC3339)
			_, err = kubectlWith("", "-n", l.namespace, "patch", "labworkload", name, "--subresource=status", "--type=merge", "-p",
				fmt.Sprintf(`{"status":{"transit":{"observedSince":%q}}}`, old))
			return err
		})
	}
}

// reprobe has labguard look anew: it probes a pod when it first sees it, and then every ten minutes.
func (l *lab) reprobe(app string) {
	l.Helper()
	l.kubectl("delete", "pod", l.podsOf(app)[0].Name)
	l.kubectl("rollout", "status", "deployment/"+app, "--timeout=120s")
}

// podsOf are the live pods of an app.
func (l *lab) podsOf(app string) []corev1.Pod {
	l.Helper()
	var pods corev1.PodList
	if err := l.List(context.WithoutCancel(l.Context()), &pods, client.InNamespace(l.namespace), client.MatchingLabels{"app": app}); err != nil {
		l.Fatal(err)
	}
	var live []corev1.Pod
	for i := range pods.Items {
		if pods.Items[i].DeletionTimestamp == nil && pods.Items[i].Status.Phase != corev1.PodSucceeded && pods.Items[i].Status.Phase != corev1.PodFailed {
			live = append(live, pods.Items[i])
		}
	}
	return live
}

// injected fails the test unless every live pod of an app has airlock as its first init container.
func (l *lab) injected(apps ...string) {
	l.Helper()
	for _, app := range apps {
		pods := l.podsOf(app)
		if len(pods) == 0 {
			l.Fatalf("%s has no pod", app)
		}
		for i := range pods {
			if len(pods[i].Spec.InitContainers) == 0 || pods[i].Spec.InitContainers[0].Name != "airlock" {
				l.Fatalf("pod %s has no airlock", pods[i].Name)
			}
		}
	}
}

// replace rolls Deployments out anew, one after the other.
func (l *lab) replace(apps ...string) {
	l.Helper()
	for _, app := range apps {
		l.kubectl("rollout", "restart", "deployment/"+app)
		l.kubectl("rollout", "status", "deployment/"+app, "--timeout=180s")
	}
}

// stats asks the only pod of an app what it has counted.
func (l *lab) stats(app string) (program.Stats, error) {
	var stats program.Stats
	err := l.ask(app, http.MethodGet, "/stats", &stats)
	return stats, err
}

func (l *lab) ask(app, method, path string, into any) error {
	pods := l.podsOf(app)
	if len(pods) != 1 || pods[0].Status.PodIP == "" {
		return fmt.Errorf("%s has %d pods", app, len(pods))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.Context()), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+pods[0].Status.PodIP+":8090"+path, http.NoBody)
	if err != nil {
		return err
	}
	reach := &http.Client{Transport: &http.Transport{DialContext: node.Dial, DisableKeepAlives: true}}
	response, err := reach.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if into == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// flows waits until an app has had some more answers.
func (l *lab) flows(app string) {
	l.Helper()
	const more = 20
	var from int64 = -1
	l.until(fmt.Sprintf("%s has %d more answers", app, more), func() error {
		stats, err := l.stats(app)
		if err != nil {
			return err
		}
		if from < 0 || stats.Acknowledged < from {
			from = stats.Acknowledged
		}
		if stats.Acknowledged < from+more {
			return fmt.Errorf("%+v, from %d", stats, from)
		}
		return nil
	})
}

// balance ends all pods of an analyzer and fails the test if a message of any of them, also of those that were replaced, was lost or processed twice.
func (l *lab) balance(app string) {
	l.Helper()
	l.kubectl("scale", "deployment/"+app, "--replicas=0")
	l.kubectl("wait", "pod", "-l", "app="+app, "--for=delete", "--timeout=120s")
	files, err := filepath.Glob(filepath.Join(l.journals, "final-"+app+"-*"))
	if err != nil {
		l.Fatal(err)
	}
	var sum program.Stats
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			l.Fatal(err)
		}
		var one program.Stats
		if err := json.Unmarshal(content, &one); err != nil {
			l.Fatalf("%s: %v", file, err)
		}
		sum.Sent, sum.Acknowledged, sum.Again = sum.Sent+one.Sent, sum.Acknowledged+one.Acknowledged, sum.Again+one.Again
		sum.SlowestMillis = max(sum.SlowestMillis, one.SlowestMillis)
		if one.LastError != "" {
			sum.LastError = one.LastError
		}
	}
	processed, doubled := l.processed(app + "-")
	l.Logf("%s: %d pods, sent %d, acknowledged %d, sent again %d (last: %s), processed %d, doubled %v, slowest %d ms",
		app, len(files), sum.Sent, sum.Acknowledged, sum.Again, sum.LastError, processed, doubled, sum.SlowestMillis)
	if sum.Sent == 0 || sum.Sent != sum.Acknowledged || int64(processed) != sum.Sent || len(doubled) > 0 {
		l.Errorf("the balance of %s is wrong", app)
	}
}

// processed reads the journals of all information systems, also of those that are gone.
func (l *lab) processed(prefix string) (int, []string) {
	l.Helper()
	files, err := filepath.Glob(filepath.Join(l.journals, "lis-*"))
	if err != nil || len(files) == 0 {
		l.Fatalf("no journals: %v", err)
	}
	var all strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			l.Fatal(err)
		}
		all.Write(content)
	}
	processed, doubled, err := program.Balance(prefix, strings.NewReader(all.String()))
	if err != nil {
		l.Fatal(err)
	}
	return processed, doubled
}

// wire listens at the node's end of a pod's interface.
func (l *lab) wire(pod *corev1.Pod, during time.Duration) program.Wire {
	l.Helper()
	name, err := node.PodInterface(pod.Status.PodIP)
	if err != nil {
		l.Fatal(err)
	}
	var seen program.Wire
	if err := node.InNetwork(func() error {
		seen, err = program.Listen(name, during)
		return err
	}); err != nil {
		l.Fatal(err)
	}
	l.Logf("on the wire of pod %s (%s): %+v", pod.Name, name, seen)
	return seen
}

// wires listens at all pods of an app, one after the other, and counts packets with plaintext and with TLS.
func (l *lab) wires(app string) (plaintext, encrypted int) {
	l.Helper()
	for _, pod := range l.podsOf(app) {
		seen := l.wire(&pod, 2*time.Second)
		plaintext, encrypted = plaintext+seen.Plaintext, encrypted+seen.TLS
	}
	return plaintext, encrypted
}

// once runs a program of the laboratory in a pod of its own until it ends, and says whether it went well and what it wrote.
func (l *lab) once(name, labels string, arguments ...string) (bool, string) {
	l.Helper()
	l.apply(podManifest(name, labels, l.image, arguments))
	var pod corev1.Pod
	l.until("pod "+name+" has ended", func() error {
		if err := l.Get(context.WithoutCancel(l.Context()), client.ObjectKey{Namespace: l.namespace, Name: name}, &pod); err != nil {
			return err
		}
		for _, status := range pod.Status.ContainerStatuses {
			if status.Name == "main" && status.State.Terminated != nil {
				return nil
			}
		}
		return fmt.Errorf("%+v", pod.Status)
	})
	output := l.kubectl("logs", name, "-c", "main")
	l.kubectl("delete", "pod", name, "--grace-period=1")
	return pod.Status.ContainerStatuses[0].State.Terminated.ExitCode == 0, output
}
