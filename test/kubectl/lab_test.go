// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package kubectl

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

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

// plugin is the path of the program.
var plugin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	log.SetLogger(logr.Discard())
	dir, err := os.MkdirTemp("", "kubectl-labguard-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	plugin = filepath.Join(dir, "kubectl-labguard")
	if out, err := exec.Command("go", "build", "-o", plugin, "../../cmd/kubectl-labguard").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the plugin: %v\n%s", err, out)
		return 1
	}
	return cluster.Main(m, cluster.WithCRDs("../../config/crd/bases"))
}

// labguard runs the plugin as a user, without a terminal.
func labguard(t *testing.T, user string, args ...string) (out, errOut string, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), plugin, append(args, "--kubeconfig", cluster.Kubeconfig(), "--as", user)...)
	var outBuffer, errBuffer bytes.Buffer
	command.Stdout, command.Stderr = &outBuffer, &errBuffer
	err = command.Run()
	if code := new(exec.ExitError); err != nil && (!errors.As(err, &code) || code.ExitCode() != 1) {
		t.Errorf("it ends with %v; a person who is told what is wrong gets 1", err)
	}
	t.Logf("$ kubectl labguard %s\n%s%s", strings.Join(args, " "), outBuffer.String(), errBuffer.String())
	return outBuffer.String(), errBuffer.String(), err
}

func api(t *testing.T) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cluster.Config(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := cluster.Kubectl(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// patience bounds what normally takes a second or less.
const patience = time.Minute

// grant gives a user some rights on a resource, and waits until they count.
func grant(t *testing.T, user, resource string, verbs ...string) {
	t.Helper()
	name := "kubectl-test-" + user
	kubectl(t, "create", "clusterrole", name, "--verb="+strings.Join(verbs, ","), "--resource="+resource)
	t.Cleanup(func() { kubectl(t, "delete", "clusterrole", name) })
	bind(t, user, name, verbs[0], resource)
}

// bind gives a user a role that there is, and waits until one right of it counts.
func bind(t *testing.T, user, role, verb, resource string) {
	t.Helper()
	name := "kubectl-test-" + user
	kubectl(t, "create", "clusterrolebinding", name, "--clusterrole="+role, "--user="+user)
	t.Cleanup(func() { kubectl(t, "delete", "clusterrolebinding", name) })
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		out, err := cluster.Kubectl(t, "auth", "can-i", verb, resource, "--as", user, "-A")
		return err == nil && strings.TrimSpace(out) == "yes", nil
	})
	if err != nil {
		t.Fatalf("wait until %s may %s %s: %v", user, verb, resource, err)
	}
}
