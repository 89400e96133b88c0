// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/node"
	"github.com/labguard/labguard/internal/testutil/provider"
)

const (
	// opened is how long a way that stays open is watched: a refusal comes at once.
	opened = 4 * time.Second
	course = "phishing-basics"
)

// ways are kubectl's ways into the pod lis-0. Those that stay open are ended after a while.
var ways = map[string][]string{
	"exec":         {"exec", "POD", "--", "/lab", "no-such-program"},
	"attach":       {"attach", "POD"},
	"port-forward": {"port-forward", "POD", ":2575"},
	"cp":           {"cp", "POD:/journals", "FOLDER"},
	"debug":        {"debug", "POD", "--image=IMAGE", "--quiet", "--", "sleep"},
	"pod proxy":    {"get", "--raw", "/api/v1/namespaces/NAMESPACE/pods/POD:8090/proxy/stats"},
	"Service proxy": {
		"get", "--raw", "/api/v1/namespaces/NAMESPACE/services/lis:2575/proxy/",
	},
}

// person is somebody with a kubeconfig of their own.
type person struct{ kubeconfig string }

// person makes a kubeconfig with words of kubectl config set-credentials.
func (l *lab) person(name string, credentials ...string) person {
	l.Helper()
	file := filepath.Join(l.TempDir(), name+".kubeconfig")
	content, err := os.ReadFile(cluster.Kubeconfig())
	if err == nil {
		err = os.WriteFile(file, content, 0o600)
	}
	if err != nil {
		l.Fatal(err)
	}
	for _, words := range [][]string{
		append([]string{"config", "set-credentials", name}, credentials...), {"config", "set-context", "--current", "--user=" + name},
	} {
		if output, err := run(l.Context(), nil, append([]string{"--kubeconfig=" + file}, words...)...); err != nil {
			l.Fatalf("%v: %s", err, output)
		}
	}
	return person{kubeconfig: file}
}

// run runs kubectl and gives everything that it says.
func run(ctx context.Context, environment []string, words ...string) (string, error) {
	command := exec.CommandContext(ctx, "../../bin/devcluster", append([]string{"kubectl"}, words...)...)
	command.Env = append(os.Environ(), environment...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	err := command.Run()
	return output.String(), err
}

// tries says whether labguard refuses somebody a way into a pod, and with which words.
func (l *lab) tries(who person, pod, way string, sockets bool) (refused bool, words string) {
	l.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.Context()), opened)
	defer cancel()
	filled := strings.NewReplacer("POD", pod, "NAMESPACE", l.namespace, "IMAGE", l.image, "FOLDER", l.TempDir())
	arguments := []string{"--kubeconfig=" + who.kubeconfig, "-n", l.namespace}
	for _, word := range ways[way] {
		arguments = append(arguments, filled.Replace(word))
	}
	environment := []string{fmt.Sprintf("KUBECTL_REMOTE_COMMAND_WEBSOCKETS=%t", sockets), fmt.Sprintf("KUBECTL_PORT_FORWARD_WEBSOCKETS=%t", sockets)}
	output, _ := run(ctx, environment, arguments...)
	if strings.Contains(output, "Unauthorized") || strings.Contains(output, "cannot create resource") || strings.Contains(output, "cannot patch resource") {
		l.Fatalf("%s: %s", way, output) // neither let in nor refused by labguard
	}
	return strings.Contains(output, "labguard") && (strings.Contains(output, "denied the request") || strings.Contains(output, "denied request")), output
}

// people is a namespace in which a login and a course are asked for, with providers, of which the second is not known to labguard.
func people(t *testing.T) (l *lab, known, unknown *provider.Provider) {
	t.Helper()
	l = newLab(t)
	known, unknown = provider.New(t, provider.WithNetwork(node.InNetwork)), provider.New(t, provider.WithNetwork(node.InNetwork))
	cluster.Authenticate(t, provider.Configuration(known, unknown))
	l.apply(l.deployment("lis", 1, 2575, "lis", "--journal=/journals/lis") + service("lis", 2575))
	l.apply(fmt.Sprintf(`---
apiVersion: labguard.dev/v1alpha1
kind: IdentityProvider
metadata: {name: %[1]s}
spec: {issuer: %[2]q, proves: [Methods, AuthTime]}
---
apiVersion: labguard.dev/v1alpha1
kind: TrainingRecord
metadata: {name: %[1]s}
spec: {subject: alice, issuer: %[2]q, course: %[3]s, completed: "2026-01-01T00:00:00Z"}
---
apiVersion: labguard.dev/v1alpha1
kind: LabWorkload
metadata: {name: lis}
spec:
  selector: {matchLabels: {app: lis}}
  enforcement: Enforce
  mfa: {maxAge: 12h, methods: [[pwd, otp], [hwk]]}
  training: {courses: [%[3]s]}
`, l.namespace, known.Issuer(), course))
	t.Cleanup(func() {
		_, _ = kubectlWith("", "delete", "identityprovider,trainingrecord", l.namespace)
	})
	for _, user := range []string{"alice", "bob"} {
		l.kubectl("create", "rolebinding", user, "--clusterrole=cluster-admin", "--user="+provider.Prefix+user)
	}
	l.kubectl("create", "serviceaccount", "robot")
	l.kubectl("create", "rolebinding", "robot", "--clusterrole=cluster-admin", "--serviceaccount="+l.namespace+":robot")
	l.kubectl("rollout", "status", "deployment/lis", "--timeout=120s")
	return l, known, unknown
}

// TestPeople has people, machines and an emergency try every way into a pod of the real node.
func TestPeople(t *testing.T) {
	l, known, unknown := people(t)
	token := func(p *provider.Provider, login provider.Login) string { return "--token=" + p.LoginAs(t, login).ID }
	both := []string{"pwd", "otp"}
	alice := l.person("alice", token(known, provider.Login{User: "alice", Methods: both}))
	refused := map[string]struct {
		who  person
		says string
	}{
		"a password alone":         {l.person("one", token(known, provider.Login{User: "alice", Methods: []string{"pwd"}})), "log in"},
		"a login of yesterday":     {l.person("old", token(known, provider.Login{User: "alice", Methods: both, Ago: 24 * time.Hour})), "log in again"},
		"somebody without course":  {l.person("bob", token(known, provider.Login{User: "bob", Methods: both})), course},
		"a provider of nobody":     {l.person("other", token(unknown, provider.Login{User: "alice", Methods: both})), known.Issuer()},
		"a ServiceAccount":         {l.person("robot", "--token="+strings.TrimSpace(l.kubectl("create", "token", "robot"))), ""},
		"a certificate's own user": {person{cluster.Kubeconfig()}, ""},
	}
	pod := l.podsOf("lis")[0].Name
	l.until("the webhook stands", func() error {
		if is, words := l.tries(refused["a password alone"].who, pod, "exec", true); !is {
			return errors.New(words)
		}
		return nil
	})
	for way := range ways {
		for _, sockets := range []bool{true, false} {
			transport := map[bool]string{true: "web socket", false: "SPDY"}[sockets]
			t.Run(way+" by "+transport, func(t *testing.T) {
				l := l.with(t)
				if is, words := l.tries(alice, pod, way, sockets); is {
					t.Errorf("a password and a one-time password do not pass: %s", words)
				}
				for name, one := range refused {
					if is, words := l.tries(one.who, pod, way, sockets); !is || !strings.Contains(words, one.says) {
						t.Errorf("%s: refused: %t, want words %q: %s", name, is, one.says, words)
					}
				}
			})
		}
	}
}
