// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/documented"
	"github.com/labguard/labguard/internal/testutil/operator"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m, cluster.WithCRDs("../../../config/crd/bases"))) }

// desk is where a reader sits: a checkout, a kubectl that finds its plugin, and an administrator's kubeconfig in the home folder.
type desk struct {
	testing.TB
	documented.Shell

	home, programs string
}

// sit makes a desk. What commands write lands in a folder of the test's own, in which everything of the checkout can be found.
func sit(t testing.TB) desk {
	t.Helper()
	root, dir := documented.Root(t), t.TempDir()
	d := desk{TB: t, home: t.TempDir(), programs: t.TempDir()}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() == ".git" || entry.Name() == "dist" {
			continue
		}
		if err := os.Symlink(filepath.Join(root, entry.Name()), filepath.Join(dir, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
	kubeconfig, err := os.ReadFile(cluster.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	d.write(filepath.Join(d.home, ".kube", "config"), string(kubeconfig), 0o600)
	d.write(filepath.Join(d.programs, "kubectl"), "#!/bin/sh\nexec "+root+"/bin/devcluster kubectl \"$@\"\n", 0o700)
	d.Dir = dir
	d.Env = []string{"HOME=" + d.home, "PATH=" + d.programs + ":" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	// The Go command finds its caches below the home folder, which is another one here.
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS", "GOMAXPROCS", "GOPROXY", "LABGUARD_CACHE"} {
		if value, is := os.LookupEnv(name); is {
			d.Env = append(d.Env, name+"="+value)
		}
	}
	return d
}

func (d desk) write(path, content string, mode os.FileMode) {
	d.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		d.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		d.Fatal(err)
	}
}

// run runs a block that is to succeed.
func (d desk) run(block string) string {
	d.Helper()
	return d.Must(d, block)
}

// checkout is a shell in the checkout itself, for commands of make and go. It knows nothing of the make that may run this test: one that is told of
// another says which folder it enters, and a reader's says no such thing.
func (d desk) checkout() documented.Shell {
	d.Helper()
	shell := d.Shell
	shell.Dir = documented.Root(d)
	shell.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "MAKE") || strings.HasPrefix(variable, "MFLAGS=")
	})
	shell.Env = append(shell.Env, "PATH="+d.programs+":"+os.Getenv("PATH"))
	return shell
}

// follows runs the commands of a session, and compares what they print with the page. A command may fail where the page shows how.
func (d desk) follows(session []documented.Step, pairs ...string) {
	d.Helper()
	for _, step := range session {
		for i := 0; i+1 < len(pairs); i += 2 {
			step.Command = strings.ReplaceAll(step.Command, pairs[i], pairs[i+1])
			step.Output = strings.ReplaceAll(step.Output, pairs[i], pairs[i+1])
		}
		got, err := d.Run(d, step.Command)
		if err != nil && !strings.Contains(step.Output, "error: ") {
			d.Errorf("%s: %v\n%s", step.Command, err, got)
		}
		if !documented.Prints(step.Output, got) {
			d.Errorf("%sprints\n%s\nand the page says\n%s", step.Command, got, step.Output)
		}
	}
}

// namespace makes a namespace of a name that a page has, and waits at the end until it is gone.
func (d desk) namespace(name string) {
	d.Helper()
	d.run("kubectl create namespace " + name)
	d.Cleanup(func() {
		if _, err := cluster.Kubectl(d, "delete", "namespace", name, "--ignore-not-found", "--timeout=90s"); err != nil {
			d.Errorf("delete namespace %s: %v", name, err)
		}
	})
}

// apply applies manifests.
func (d desk) apply(manifests string) {
	d.Helper()
	d.run("kubectl apply --server-side -f - <<'END'\n" + manifests + "\nEND\n")
}

// until waits until a command prints a text.
func (d desk) until(what, command, text string) {
	d.Helper()
	operator.Eventually(d, what, func() error {
		out, err := d.Run(quiet{d.TB}, command)
		if err == nil && strings.Contains(out, text) {
			return nil
		}
		return fmt.Errorf("%s prints %q, %w", command, out, err)
	})
}

// quiet is a test that notes nothing: what is asked again and again.
type quiet struct{ testing.TB }

func (quiet) Logf(string, ...any) {}

func (q quiet) Context() context.Context { return q.TB.Context() }

func deployment(namespace, name, image string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s, department: pathology}}
    spec:
      containers:
      - {name: %[2]s, image: "%[3]s"}
---
`, namespace, name, image)
}

func job(namespace, name, image string) string {
	return fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: %[2]s, image: "%[3]s"}
---
`, namespace, name, image)
}

// workload is a LabWorkload that enforces image ages.
func workload(namespace, name, images string) string {
	return fmt.Sprintf(`
apiVersion: labguard.dev/v1alpha1
kind: LabWorkload
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  selector: {matchLabels: {app: %[2]s}}
  enforcement: Enforce
  images: {maxAge: 2160h%[3]s}
---
`, namespace, name, images)
}

// governed waits until the gate is closed for a LabWorkload.
func (d desk) governed(namespace, name string) {
	d.Helper()
	d.until(name+" is Ready", "kubectl get labworkload -n "+namespace+" "+name+` -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}'`, "True")
}
