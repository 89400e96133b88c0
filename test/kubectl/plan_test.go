// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package kubectl

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labguard/labguard/internal/testutil/cluster"
)

// asked runs the plugin with what it is given and no other flags, and gives its exit code.
func asked(t *testing.T, environment []string, args ...string) (out, errOut string, code int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), plugin, args...)
	command.Env = append(os.Environ(), environment...)
	var outBuffer, errBuffer bytes.Buffer
	command.Stdout, command.Stderr = &outBuffer, &errBuffer
	if err := command.Run(); err != nil {
		ended := new(exec.ExitError)
		if !errors.As(err, &ended) {
			t.Fatal(err)
		}
		code = ended.ExitCode()
	}
	t.Logf("$ kubectl labguard %s\n%s%s(%d)", strings.Join(args, " "), outBuffer.String(), errBuffer.String(), code)
	return outBuffer.String(), errBuffer.String(), code
}

// as runs the plugin as a user.
func as(t *testing.T, user string, args ...string) (out, errOut string, code int) {
	t.Helper()
	return asked(t, nil, append(args, "--kubeconfig", cluster.Kubeconfig(), "--as", user)...)
}

// written is a file of manifests.
func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "manifests.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// aLab runs without labguard: a LIS with a Service, who calls it, and a database that a policy closes.
const aLab = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: lis}
spec:
  selector: {matchLabels: {app: lis}}
  template:
    metadata: {labels: {app: lis}, annotations: {prometheus.io/scrape: "true"}}
    spec: {containers: [{name: lis, image: "registry.example/lab/lis:1", ports: [{name: mllp, containerPort: 2575}, {containerPort: 9090}, {containerPort: 514, protocol: UDP}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: lis}
spec: {type: LoadBalancer, loadBalancerSourceRanges: [192.0.2.0/24], selector: {app: lis}, ports: [{port: 2575, targetPort: mllp}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchExpressions: [{key: app, operator: In, values: [db]}]}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: "registry.example/lab/db:1", ports: [{containerPort: 5432}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: lis}}}, {namespaceSelector: {}}, {ipBlock: {cidr: 10.20.0.0/16}}]
    ports: [{port: 5432}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: export}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        metadata: {labels: {app: export}}
        spec: {restartPolicy: Never, containers: [{name: export, image: "registry.example/lab/export:1", args: ["--lis=mllp://lis:2575"]}]}
`

func TestAPlanIsTakenByTheAPIServer(t *testing.T) {
	namespace := cluster.Namespace(t)
	kubectl(t, "apply", "-f", "../../config/rbac/user_roles.yaml")
	kubectl(t, "apply", "-n", namespace, "-f", written(t, aLab))
	bind(t, "planner", "cluster-admin", "list", "pods")
	text, errOut, code := as(t, "planner", "plan", "-n", namespace, "-o", "yaml")
	if code != 0 || errOut != "" {
		t.Fatalf("%d, %s", code, errOut)
	}
	file := written(t, text)
	out := kubectl(t, "apply", "--dry-run=server", "-f", file)
	for _, name := range []string{"lis", "db", "export"} {
		if !strings.Contains(out, "labworkload.labguard.dev/"+name+" created (server dry run)") {
			t.Errorf("there is no LabWorkload %s: %s", name, out)
		}
	}
	out, _, code = as(t, "planner", "plan", "-n", namespace)
	for _, want := range []string{
		"kept: port 2575 for LabWorkload export: an argument of container export of cronjob/export names Service lis",
		"kept: port 2575 for external 192.0.2.0/24: loadBalancerSourceRanges of Service lis",
		"kept: port 5432 for LabWorkload lis: NetworkPolicy db lets them in", "kept: port 5432 for pods of all namespaces: NetworkPolicy db lets them in",
		"cut: pods of all namespaces at port 5432: they have no identity", "cut: UDP port 514", "not known: who connects to port 9090", "not known: who scrapes",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q", want)
		}
	}
	if code != 0 || !strings.HasSuffix(out, text) {
		t.Errorf("%d; what is printed for people does not end with what is to be pasted", code)
	}
	// What is there is what is planned: nothing is left to add.
	kubectl(t, "apply", "-f", file)
	again, _, code := as(t, "planner", "plan", "-n", namespace, "-o", "yaml")
	if code != 0 || strings.Count(again, "as it is: nothing is known to be missing") != 3 {
		t.Errorf("%d: a plan that was applied lacks something:\n%s", code, again)
	}
}

func TestWhoeverMayReadOneNamespaceIsToldWhatThePlanLacks(t *testing.T) {
	namespace := cluster.Namespace(t)
	kubectl(t, "apply", "-f", "../../config/rbac/user_roles.yaml")
	kubectl(t, "apply", "-n", namespace, "-f", written(t, aLab))
	for _, role := range []string{"view", "labguard-view"} {
		kubectl(t, "create", "rolebinding", role, "-n", namespace, "--clusterrole="+role, "--user=one-team")
	}
	out, errOut, code := as(t, "one-team", "plan", "-n", namespace, "-o", "yaml")
	if code != 2 || !strings.Contains(out, "name: lis") || !strings.HasSuffix(errOut, "error: the plan may lack something\n") {
		t.Errorf("%d\n%s%s", code, out, errOut)
	}
	for _, want := range []string{
		"Not looked at: LabWorkloads of other namespaces: you may not list labworkloads of all namespaces: have somebody bind the ClusterRole labguard-view to you for the whole cluster",
		"Not looked at: pods of other namespaces, which may connect: you may not list pods of all namespaces", "Not looked at: how old images are: you may not list imagerecords: have somebody bind the ClusterRole labguard-image-inventory",
	} {
		if !strings.Contains(errOut, want) {
			t.Errorf("there is no %q in %s", want, errOut)
		}
	}
}

// Each of these is asked of the real API server by the real program.
func TestWhatStandsInTheWayIsSaidWithWhatHelps(t *testing.T) {
	namespace := cluster.Namespace(t)
	reads := [][]string{
		{"status", "-A"}, {"status", "-n", namespace}, {"status", "lis", "-n", namespace}, {"held", "-A"}, {"held", "-n", namespace}, {"forecast", "-A"}, {"plan", "-n", namespace},
		{"explain", "lis", "--from", "gw", "-n", namespace},
	}
	for _, args := range reads {
		out, errOut, code := as(t, "nobody", args...)
		if code != 2 || out != "" || !strings.Contains(errOut, "have somebody bind the ClusterRole labguard-view to you") || !strings.Contains(errOut, `User "nobody" cannot`) {
			t.Errorf("%v: %d %s%s", args, code, out, errOut)
		}
	}
	_, errOut, code := as(t, "nobody", "explain", "deployment/lis", "-n", namespace)
	if code != 2 || !strings.Contains(errOut, "you may not get deployments in namespace "+namespace+": have somebody bind the ClusterRole view to you there") {
		t.Errorf("%d %s", code, errOut)
	}
	for _, args := range append(reads, []string{"explain", "deployment/lis", "-n", namespace}, []string{"rights"}, []string{"break-glass", "list"}) {
		out, errOut, code := asked(t, []string{"HOME=" + t.TempDir(), "KUBECONFIG=", "KUBERNETES_SERVICE_HOST="}, args...)
		if code != 2 || out != "" || !strings.HasPrefix(errOut, "error: there is no kubeconfig, so there is no cluster to ask: name one with --kubeconfig or KUBECONFIG") {
			t.Errorf("%v without a kubeconfig: %d %s%s", args, code, out, errOut)
		}
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a file that is not there":     {[]string{"status", "--kubeconfig", "/no/such/file"}, "/no/such/file"},
		"a context that is not there":  {[]string{"status", "--kubeconfig", cluster.Kubeconfig(), "--context", "nowhere"}, "context was not found for specified context: nowhere"},
		"an API server that is not up": {[]string{"status", "--kubeconfig", written(t, unreachable)}, "error: the API server does not answer: "},
		"a namespace that is none":     {[]string{"plan", "--kubeconfig", cluster.Kubeconfig(), "-n", "defaul"}, "error: there is no namespace defaul: did you mean default?"},
		"a kind that is not served":    {[]string{"explain", "rollout/lis", "--kubeconfig", cluster.Kubeconfig(), "-n", namespace}, "error: the cluster serves no rollouts"},
		"an object that is not there":  {[]string{"explain", "deployment/lis", "--kubeconfig", cluster.Kubeconfig(), "-n", namespace}, "error: there is no Deployment lis in namespace " + namespace},
	} {
		if out, errOut, code := asked(t, nil, c.args...); code != 2 || out != "" || !strings.Contains(errOut, c.want) {
			t.Errorf("%s: %d %s%s", name, code, out, errOut)
		}
	}
}

// unreachable is a kubeconfig of a cluster that does not listen.
const unreachable = `
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: none}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
`
