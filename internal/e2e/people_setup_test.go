// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/image"
	"github.com/labguard/labguard/internal/testutil/node"
	"github.com/labguard/labguard/internal/testutil/provider"
)

const course = "phishing-basics"

// newPeople is a namespace in which a login with two factors and a course are asked for, and everybody who may want to get in. Everybody has all rights there:
// who is refused is refused by labguard.
func newPeople(t *testing.T) *people {
	t.Helper()
	l := newLab(t)
	const brief, long = 5 * time.Second, 72 * time.Hour
	inNode := provider.WithNetwork(node.InNetwork)
	p := &people{
		lab: l, known: provider.New(t, inNode, provider.WithTokenLife(long)), other: provider.New(t, inNode),
		brief: provider.New(t, inNode, provider.WithTokenLife(brief)),
	}
	cluster.Authenticate(t, provider.Configuration(p.known, p.other, p.brief))
	machines := cluster.Namespace(t)
	must(t, "", "create", "serviceaccount", "sync", "-n", machines)
	p.machines = machines
	// Once it is listed, whoever wants its token needs a login with two factors.
	p.machine = person{name: "a listed machine", config: cluster.ServiceAccountConfig(t, machines, "sync")}
	l.decide(t, fmt.Sprintf(access, machines))
	p.desk = target{namespace: l.namespace, pod: "desk-0", service: "desk", image: pushedProgram(t, image.Program{
		Package: "./lab/tar", Repository: "desk", Files: map[string][]byte{deskFile: []byte(deskText)},
	})}
	l.kubectl("create", "serviceaccount", "robot")
	l.entitle(machines)
	l.apply(p.deskManifest("StatefulSet", "desk", 1) + service("desk", 8090) + p.deskManifest("Deployment", "replaced", 1) + p.deskManifest("Deployment", "changed", 0) +
		p.deskManifest("Deployment", "scaled", 1) + scaler("scaled", 1))
	t.Cleanup(func() { // nobody else is sure to have a login, or labguard to answer
		_, _ = kubectlWith("", "delete", "identityprovider,trainingrecord", l.namespace,
			"--as=sealed", "--as-group=system:masters", "--as-group=labguard:break-glass")
	})
	l.apply(identityProvider(l.namespace, p.known) + trained(l.namespace, p.known)) // before anything is enforced: later it takes a login
	for _, c := range columns {
		doomed := l.doomed(c)
		must(t, "", "create", "namespace", doomed)
		t.Cleanup(func() { _, _ = kubectlWith("", "delete", "namespace", doomed, "--ignore-not-found", "--wait=false") })
		must(t, p.deskManifest("Deployment", "desk", 1)+asking, "apply", "-n", doomed, "-f", "-")
	}
	for _, what := range []string{"statefulset/desk", "deployment/replaced", "deployment/scaled"} {
		l.kubectl("rollout", "status", what, "--timeout=120s")
	}
	l.apply(asking)
	p.identify(t)
	l.until("labguard answers about people", func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), wayTimeout)
		defer cancel()
		if err := judge(ways["exec"](ctx, p.oneFactor.config, p.desk, webSocket), p.oneFactor.says); err != nil {
			return err
		}
		return ways["exec"](ctx, p.alice.config, p.desk, webSocket)
	})
	return p
}

// doomed is the namespace that is deleted in a column of the table.
func (l *lab) doomed(c column) string { return fmt.Sprintf("%s-doomed-%d", l.namespace, c.number) }

// entitle gives everybody all rights in the namespace, so that it is not RBAC that refuses them.
func (l *lab) entitle(machines string) {
	l.Helper()
	l.kubectl("create", "rolebinding", "everybody", "--clusterrole=cluster-admin", "--user="+provider.Prefix+"alice", "--user="+provider.Prefix+"bob",
		"--serviceaccount="+l.namespace+":robot", "--serviceaccount="+machines+":sync", "--group=labguard:break-glass")
}

// decide adds something to the configuration of labguard.
func (l *lab) decide(t *testing.T, more string) {
	t.Helper()
	var config corev1.ConfigMap
	if err := l.Get(t.Context(), client.ObjectKey{Namespace: system, Name: "labguard"}, &config); err != nil {
		t.Fatal(err)
	}
	config.Data["configuration.yaml"] += more
	if err := l.Update(t.Context(), &config); err != nil {
		t.Fatal(err)
	}
	must(t, "", "rollout", "restart", "-n", system, "deployment/labguard")
	must(t, "", "rollout", "status", "-n", system, "deployment/labguard", "--timeout=120s")
}

// access is what the platform team decides about people. Whoever is trusted is a part of the cluster of these tests.
const access = `access:
  machines: [{namespace: %s, serviceAccount: sync}]
  tokens: {methods: [[pwd, otp], [hwk]]}
  trusted:
  - {kind: Group, name: "devcluster:kubelet-clients"}
`

// asking asks for a login of two factors and a course.
const asking = `---
apiVersion: labguard.dev/v1alpha1
kind: LabWorkload
metadata: {name: desk}
spec:
  selector: {matchLabels: {app: desk}}
  enforcement: Enforce
  mfa: {maxAge: 12h, methods: [[pwd, otp], [hwk]]}
  training: {courses: [` + course + `]}
`

func identityProvider(name string, p *provider.Provider) string {
	return fmt.Sprintf("---\napiVersion: labguard.dev/v1alpha1\nkind: IdentityProvider\nmetadata: {name: %s}\n"+
		"spec: {issuer: %q, proves: [Methods, AuthTime]}\n", name, p.Issuer())
}

// trained says that alice has the course.
func trained(name string, p *provider.Provider) string {
	return fmt.Sprintf("---\napiVersion: labguard.dev/v1alpha1\nkind: TrainingRecord\nmetadata: {name: %s}\n"+
		"spec: {subject: alice, issuer: %q, course: %s, completed: \"2026-01-01T00:00:00Z\"}\n", name, p.Issuer(), course)
}

// deskManifest is something with a template of desks.
func (p *people) deskManifest(kind, name string, replicas int) string {
	return fmt.Sprintf(`---
apiVersion: apps/v1
kind: %[1]s
metadata: {name: %[2]s}
spec:
  replicas: %[3]d
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: %[4]s
        args: [desk]
        env: [{name: PATH, value: /}]
        resources: {requests: {cpu: 1m}}
        readinessProbe: {httpGet: {port: 8090, path: /}, periodSeconds: 1}
`, kind, name, replicas, p.desk.image)
}

// scaler has a HorizontalPodAutoscaler keep an exact number of pods: it needs no metrics for that.
func scaler(name string, pods int) string {
	return fmt.Sprintf(`---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: %[1]s}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: %[1]s}
  minReplicas: %[2]d
  maxReplicas: %[2]d
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
`, name, pods)
}
