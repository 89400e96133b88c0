// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/internal/testutil/cluster"
)

const (
	pollEvery = 200 * time.Millisecond
	// patience bounds waits that normally end within seconds.
	patience = 2 * time.Minute
)

// desk is where the platform team sits: a shell with kubectl, helm and bin/manager.
type desk struct {
	testing.TB
	// programs is a folder of kubectl and helm, home that of the person.
	programs, home string
	roots          string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	run(t, root, "go", "run", "./hack/build", "helm")
	d := &desk{TB: t, programs: t.TempDir(), home: t.TempDir()}
	for name, program := range map[string]string{"kubectl": "devcluster", "helm": "helm"} {
		there, err := filepath.EvalSymlinks(filepath.Join(root, "bin", program))
		if err == nil {
			there, err = filepath.Abs(there)
		}
		if err == nil {
			err = os.Symlink(there, filepath.Join(d.programs, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(cluster.Kubeconfig())
	if err == nil {
		err = os.Mkdir(filepath.Join(d.home, ".kube"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(d.home, ".kube", "config"), content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// command is one in a folder with what the desk has, and nothing of what the person who runs the test has set.
func (d *desk) command(ctx context.Context, dir, program string, words ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, program, words...)
	command.Dir = dir
	command.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "HELM_") || strings.HasPrefix(variable, "KUBE")
	})
	command.Env = append(command.Env, "HOME="+d.home, "XDG_CACHE_HOME=", "XDG_CONFIG_HOME=", "XDG_DATA_HOME=", "KUBERC=off",
		"PATH="+d.programs+string(os.PathListSeparator)+os.Getenv("PATH"))
	return command
}

// script runs lines of a document, each of which has to go well, and shows what they print.
func (d *desk) script(dir, lines string) {
	d.Helper()
	begun := time.Now()
	command := d.command(context.WithoutCancel(d.Context()), dir, "sh", "-e", "-c", lines)
	output, err := command.CombinedOutput()
	d.Logf("$ %s\n%s(%s)", strings.TrimSpace(lines), output, time.Since(begun).Round(100*time.Millisecond))
	if err != nil {
		d.Fatalf("%v", err)
	}
}

// helm runs helm, and returns what it prints on standard output. It fails the test if it fails.
func (d *desk) helm(dir string, words ...string) string {
	d.Helper()
	output, err := d.command(context.WithoutCancel(d.Context()), dir, filepath.Join(d.programs, "helm"), words...).Output()
	if err != nil {
		d.Fatalf("helm %s: %v", strings.Join(words, " "), err)
	}
	return string(output)
}

// kubectl runs kubectl as administrator, and fails the test if it fails.
func (d *desk) kubectl(words ...string) string {
	d.Helper()
	output, err := d.kubectlWith(context.WithoutCancel(d.Context()), "", words...)
	if err != nil {
		d.Fatal(err)
	}
	return output
}

// kubectlWith has something at the standard input of kubectl. What kubectl complains about is in the error, or after the output.
func (d *desk) kubectlWith(ctx context.Context, input string, words ...string) (string, error) {
	command := d.command(ctx, ".", filepath.Join(d.programs, "kubectl"), words...)
	command.Stdin = strings.NewReader(input)
	var complaints bytes.Buffer
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		return string(output), fmt.Errorf("kubectl %s: %s", strings.Join(words, " "), strings.TrimSpace(complaints.String()))
	}
	return string(output) + complaints.String(), nil
}

func (d *desk) apply(namespace, manifest string) {
	d.Helper()
	if _, err := d.kubectlWith(context.WithoutCancel(d.Context()), manifest, "-n", namespace, "apply", "-f", "-"); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) until(what string, met func() error) {
	d.Helper()
	var last error
	err := wait.PollUntilContextTimeout(context.WithoutCancel(d.Context()), pollEvery, patience, true, func(context.Context) (bool, error) {
		last = met()
		return last == nil, nil
	})
	if err != nil {
		d.Fatalf("%s: not within %s: %v", what, patience, last)
	}
}

// decide writes labguard-values.yaml for a release beside its chart: what docs/install.md shows, with the image and the sidecar of the release, the roots
// of this laboratory and its registry, which speaks plain HTTP. generation changes nothing but the pods.
func (d *desk) decide(r release, generation string) {
	d.Helper()
	var values map[string]any
	if err := yaml.Unmarshal([]byte(documentedValues(d.TB)), &values); err != nil {
		d.Fatal(err)
	}
	registry := cluster.Node().Registry
	image, configuration := values["image"].(map[string]any), values["configuration"].(map[string]any)
	image["repository"], image["digest"] = registry+"/labguard/manager", r.manager
	configuration["airlock"] = map[string]any{"image": registry + "/labguard/airlock@" + r.airlock}
	configuration["trustDomains"] = []any{map[string]any{"name": configuration["trustDomain"], "roots": d.roots}}
	configuration["registries"] = []any{map[string]any{"host": registry, "insecure": true, "allowedAddresses": []string{cluster.Node().Address + "/32"}}}
	values["podAnnotations"] = map[string]any{"example.com/generation": generation}
	content, err := yaml.Marshal(values)
	if err == nil {
		err = os.WriteFile(filepath.Join(r.dir, "labguard-values.yaml"), content, 0o600)
	}
	if err != nil {
		d.Fatal(err)
	}
}

// gate is what of admission is configured in the cluster.
func (d *desk) gate() []string {
	d.Helper()
	found := strings.Fields(d.kubectl("get", "-o", "name", "validatingwebhookconfigurations,mutatingwebhookconfigurations,validatingadmissionpolicies,"+
		"validatingadmissionpolicybindings,mutatingadmissionpolicies,mutatingadmissionpolicybindings"))
	slices.Sort(found)
	return found
}

// explain prints what there is, for whoever reads a failure.
func (d *desk) explain() {
	for _, words := range [][]string{
		{"get", "labworkloads,pods,deployments,rolloutrecords", "-A", "-o", "wide"},
		{"get", "labworkloads", "-A", "-o", "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{' '}{.status.transit}{'\\n'}{range .status.conditions[*]}  {.type}={.status} {.reason}: {.message}{'\\n'}{end}{end}"},
		{"get", "events", "-A", "--sort-by=.lastTimestamp"},
		{"logs", "-n", system, "-l", "app.kubernetes.io/name=labguard", "--tail=60", "--prefix"},
		{"logs", "-n", system, "job/labguard-uninstall", "--tail=60"},
	} {
		output, err := d.kubectlWith(context.WithoutCancel(d.Context()), "", words...)
		d.Logf("kubectl %s: %v\n%s", strings.Join(words, " "), err, output)
	}
}

// refused runs helm and fails the test unless it fails with all the words.
func (d *desk) refused(dir string, words []string, want ...string) {
	d.Helper()
	output, err := d.command(context.WithoutCancel(d.Context()), dir, filepath.Join(d.programs, "helm"), words...).CombinedOutput()
	d.Logf("$ helm %s\n%s", strings.Join(words, " "), output)
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		d.Fatalf("it should fail by itself, and does %v", err)
	}
	for _, one := range want {
		if !strings.Contains(string(output), one) {
			d.Errorf("it does not say %q", one)
		}
	}
}
