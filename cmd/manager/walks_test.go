// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/labguard/labguard/api/v1alpha1"
)

// nodes are those on which the pods of all walks run.
var nodes = []string{"lab-1", "lab-2", "lab-3"}

// draining lets one walk at a time drain a node, so that there are always others.
var draining sync.Mutex

// kind is what a walk is about: one kind of root workload, how many pods of it serve, and what it can do.
type kind struct {
	// name is how kubectl calls it.
	name string
	// replicas is how many pods serve.
	replicas int
	// budget is how many of them a rollout or a drained node may take away at a time.
	budget int
	// updates: its template can be changed. rolls: its controller then replaces the pods, and keeps revisions to go back to. scales: it has a
	// number of replicas. heals: its controller replaces pods that are lost.
	updates, rolls, scales, heals bool
	// holds is the marker of an update that is held; empty if an update is refused instead. holdsNew is that of a new object.
	holds, holdsNew string
	// object is an empty object of the kind.
	object client.Object
	// spec is the rest of the manifest, with places for the label app and the image.
	spec string
}

// templateGate is the marker of a new DaemonSet whose pods are gated.
const templateGate = `{"template":{"spec":{"schedulingGates":null}}}`

// setHeld is the marker of a held StatefulSet whose partition was declared before.
func setHeld(partition string) string {
	return `{"template":{"spec":{"schedulingGates":null}},"updateStrategy":{"rollingUpdate":{"partition":` + partition + `}}}`
}

const rolling = "  selector: {matchLabels: {app: %[1]s}}\n  template: {metadata: {labels: {app: %[1]s, team: lis}}, spec: {containers: [{name: c, image: %[2]q}]}}\n"

// runsOnce is the spec of a Job. An eviction is no failure of it, so that its controller does not wait before it goes on.
const runsOnce = "{parallelism: 2, completions: 2, podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: DisruptionTarget}]}]}, " +
	"template: {metadata: {labels: {app: %[1]s, team: lis}}, spec: {restartPolicy: Never, containers: [{name: c, image: %[2]q}]}}}"

var kinds = map[string]kind{
	"Deployment of 5": {
		name: "deployment", replicas: 5, budget: 1, updates: true, rolls: true, scales: true, heals: true, object: &appsv1.Deployment{},
		holds: `{"paused":null}`, holdsNew: `{"paused":null}`,
		spec: "spec:\n  replicas: 5\n" + rolling,
	},
	"StatefulSet of 1": {
		name: "statefulset", replicas: 1, budget: 1, updates: true, rolls: true, scales: true, heals: true, object: &appsv1.StatefulSet{},
		holds: setHeld("0"), holdsNew: setHeld("0"),
		spec: "spec:\n  serviceName: none\n  replicas: 1\n" + rolling,
	},
	"StatefulSet of 3": {
		name: "statefulset", replicas: 3, budget: 1, updates: true, rolls: true, scales: true, heals: true, object: &appsv1.StatefulSet{},
		holds: setHeld("0"), holdsNew: setHeld("0"),
		spec: "spec:\n  serviceName: none\n  replicas: 3\n" + rolling,
	},
	"DaemonSet": {
		name: "daemonset", replicas: len(nodes), budget: 1, updates: true, rolls: true, heals: true, object: &appsv1.DaemonSet{},
		holdsNew: templateGate,
		spec:     "spec:\n" + rolling,
	},
	"Job": {
		name: "job", replicas: 2, budget: 2, heals: true, object: &batchv1.Job{},
		holdsNew: `{"suspend":false}`,
		spec:     "spec: " + runsOnce + "\n",
	},
	"CronJob": {
		name: "cronjob", replicas: 2, budget: 2, updates: true, heals: true, object: &batchv1.CronJob{},
		holdsNew: `{"suspend":false}`,
		spec:     "spec: {schedule: \"* * * * *\", concurrencyPolicy: Forbid, jobTemplate: {spec: " + runsOnce + "}}\n",
	},
	"bare pod": {
		name: "pod", replicas: 1, budget: 1, updates: true, object: &corev1.Pod{},
		holdsNew: `{"schedulingGates":null}`,
		spec:     "spec: {containers: [{name: c, image: %[2]q}]}\n",
	},
}

// manifest is an object of the kind that is called app, as is its label app.
func (k kind) manifest(app, image string) string {
	gvk, err := apiutil.GVKForObject(k.object, clientgoscheme.Scheme)
	if err != nil {
		return err.Error() // kubectl will not understand it
	}
	head := fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: %s, labels: {app: %s, team: lis}}\n", gvk.GroupVersion(), gvk.Kind, app, app)
	return head + fmt.Sprintf(k.spec, app, image)
}

// record is the name of the RolloutRecord of an object of the kind.
func (k kind) record(app string) string {
	if k.name == "job" || k.name == "pod" {
		return v1alpha1.RunOnceRecordName
	}
	return k.name + "-" + app
}

func (k kind) empty() client.Object {
	empty, _ := k.object.DeepCopyObject().(client.Object)
	return empty
}

// rolledOut says what is missing until an object has rolled out what it declares, as its own status says.
func rolledOut(object client.Object) error {
	var observed int64
	var counts []int32
	var want int
	switch o := object.(type) {
	case *appsv1.Deployment:
		observed, want = o.Status.ObservedGeneration, int(*o.Spec.Replicas)
		counts = []int32{o.Status.Replicas, o.Status.UpdatedReplicas, o.Status.ReadyReplicas}
	case *appsv1.StatefulSet:
		observed, want = o.Status.ObservedGeneration, int(*o.Spec.Replicas)
		counts = []int32{o.Status.Replicas, o.Status.UpdatedReplicas, o.Status.ReadyReplicas}
	case *appsv1.DaemonSet:
		observed, want = o.Status.ObservedGeneration, len(nodes)
		counts = []int32{o.Status.DesiredNumberScheduled, o.Status.UpdatedNumberScheduled, o.Status.NumberReady}
	default:
		return nil
	}
	if observed != object.GetGeneration() || slices.ContainsFunc(counts, func(count int32) bool { return int(count) != want }) {
		return fmt.Errorf("of %d pods there are, are updated, are ready: %v", want, counts)
	}
	return nil
}

// observedGeneration is the generation that the controller of an object has seen, for kinds whose status says it.
func observedGeneration(object client.Object) (int64, bool) {
	switch o := object.(type) {
	case *appsv1.Deployment:
		return o.Status.ObservedGeneration, true
	case *appsv1.StatefulSet:
		return o.Status.ObservedGeneration, true
	case *appsv1.DaemonSet:
		return o.Status.ObservedGeneration, true
	default:
		return 0, false
	}
}
