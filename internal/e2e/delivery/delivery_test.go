// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package delivery

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"github.com/labguard/labguard/hack/demo/tour"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/documented"
)

const system = "labguard-system"

// TestLaboratoryWorksOnWhileLabguardComesAndGoes is the life of an installation.
func TestLaboratoryWorksOnWhileLabguardComesAndGoes(t *testing.T) {
	outer := t
	previous, this := releases(t)
	d := newDesk(t)
	t.Cleanup(func() {
		if t.Failed() {
			d.explain()
		}
	})
	d.kubectl("apply", "-f", root+"/hack/lab-ca.yaml")
	d.kubectl("wait", "--for=condition=Ready", "certificate/lab-ca", "-n", "cert-manager", "--timeout=120s")
	roots, err := base64.StdEncoding.DecodeString(d.kubectl("get", "secret", "lab-ca", "-n", "cert-manager", "-o", `jsonpath={.data.tls\.crt}`))
	if err != nil {
		t.Fatal(err)
	}
	d.roots = string(roots)
	empty := d.gate()
	install := documented.Block(t, "docs/install.md", "Into the cluster > With Helm", 1)
	upgrade := documented.Block(t, "docs/operations.md", "Upgrade", 1)
	l := newLaboratory(t, d)
	var witnesses []*witness
	for _, step := range []struct {
		what string
		do   func(t *testing.T)
	}{
		{"the chart of the previous commit installs as docs/install.md says, and helm test passes", func(*testing.T) {
			d.decide(previous, "previous")
			d.script(previous.dir, install)
		}},
		{"a laboratory opens, and a stale rollout of it is held", func(*testing.T) {
			l.open()
			l.hold("1")
			witnesses = append(witnesses, watch(outer, l.clients, l.namespace, "lis", "analyzer"))
		}},
		{"the tour of the demo", func(t *testing.T) {
			l.tour(t)
			witnesses = append(witnesses, watch(outer, l.clients, tour.Pathology, "lis", "middleware", "middleware", "middleware"),
				watch(outer, l.clients, tour.Chemistry, "portal", "import"))
		}},
		{"a second install is refused with what to do", func(*testing.T) {
			d.refused(this.dir, []string{"install", "another", "charts/labguard", "-n", "another", "--create-namespace", "-f", filepath.Join(previous.dir, "labguard-values.yaml")},
				"labguard is installed in this cluster already, as release labguard in namespace "+system, "run `helm upgrade labguard ")
			l.holds()
		}},
		{"helm upgrade to this commit", func(t *testing.T) {
			d.decide(this, "this")
			l.knock(t, func() { d.script(this.dir, upgrade) })
			l.undisturbed()
		}},
		{"helm rollback to the previous commit", func(t *testing.T) {
			l.knock(t, func() { d.script(this.dir, "helm rollback labguard 1 -n labguard-system --wait") })
			l.undisturbed()
		}},
		{"helm upgrade to this commit again, and helm test", func(t *testing.T) {
			l.knock(t, func() { d.script(this.dir, upgrade) })
			d.script(this.dir, "helm test labguard -n labguard-system --logs")
			l.undisturbed()
		}},
		{"an upgrade to a configuration that labguard refuses goes back by itself", func(t *testing.T) {
			values := filepath.Join(this.dir, "labguard-values.yaml")
			good, err := os.ReadFile(values)
			if err != nil {
				t.Fatal(err)
			}
			// What the schema of the values cannot say: it is shorter than a login takes.
			bad := strings.Replace(string(good), "configuration:\n", "configuration:\n  access: {tokens: {maxAge: 1m}}\n", 1)
			if err := os.WriteFile(values, []byte(bad), 0o600); err != nil {
				t.Fatal(err)
			}
			l.knock(t, func() { d.refused(this.dir, append(strings.Fields(upgrade), "--timeout", "20s")[1:], "not ready") })
			if err := os.WriteFile(values, good, 0o600); err != nil {
				t.Fatal(err)
			}
			if now := d.kubectl("get", "configmap", "labguard", "-n", system, "-o", "jsonpath={.data}"); strings.Contains(now, "maxAge") {
				t.Errorf("labguard would not start again: %s", now)
			}
			d.kubectl("rollout", "status", "-n", system, "deployment/labguard", "--timeout=60s")
			l.undisturbed()
		}},
		{"the anchor is deleted, and an upgrade to the release that is there brings the gate back", func(t *testing.T) {
			stands := d.gate()
			d.script(this.dir, documented.Block(t, "docs/concepts.md", "The anchor", 1))
			l.until("nothing of the gate is left", func() error {
				if now := d.gate(); !slices.Equal(now, empty) {
					return fmt.Errorf("there is %v", now)
				}
				return nil
			})
			d.script(this.dir, upgrade)
			l.until("the gate stands again", func() error {
				if now := d.gate(); !slices.Equal(now, stands) {
					return fmt.Errorf("there is %v, and there was %v", now, stands)
				}
				return nil
			})
			l.hold("after-the-anchor")
			l.undisturbed()
		}},
		{"an uninstall whose Job cannot start removes nothing, and a rollback to its revision makes the release whole", func(t *testing.T) {
			stands := d.gate()
			d.kubectl("create", "quota", "full", "-n", system, "--hard=pods=0")
			d.refused(this.dir, []string{"uninstall", "labguard", "-n", system, "--timeout", "15s"}, "labguard-uninstall not ready")
			l.undisturbed()
			history := d.helm(this.dir, "history", "labguard", "-n", system, "--max", "1", "-o", "json")
			var last []struct {
				Revision int
				Status   string
			}
			if err := json.Unmarshal([]byte(history), &last); err != nil || len(last) != 1 || last[0].Status != "uninstalling" {
				t.Fatalf("the last revision of %s: %v", history, err)
			}
			back := documented.Block(t, "docs/install.md", "Uninstall > With Helm", 2)
			d.script(this.dir, strings.ReplaceAll(back, "REVISION", strconv.Itoa(last[0].Revision)))
			if status := d.helm(this.dir, "status", "labguard", "-n", system, "-o", "json"); !strings.Contains(status, `"status":"deployed"`) {
				t.Errorf("the release is %s", status)
			}
			d.kubectl("delete", "quota", "full", "-n", system)
			if now := d.kubectl("get", "jobs,pods", "-n", system, "-o", "name"); strings.Contains(now, "labguard-uninstall") {
				t.Errorf("what would take the gate down is still there: %s", now)
			}
			if now := d.gate(); !slices.Equal(now, stands) {
				t.Errorf("of the gate there is %v, and there was %v", now, stands)
			}
			l.undisturbed()
		}},
		{"helm uninstall takes the gate down, releases what is held, and leaves the rest", func(t *testing.T) {
			before := l.declared()
			d.script(this.dir, documented.Block(t, "docs/install.md", "Uninstall > With Helm", 1))
			l.without(t, empty, before)
			left := strings.Fields(d.kubectl("get", "-n", system, "-o", "name", "-l", "app.kubernetes.io/instance=labguard",
				"deployments,jobs,pods,services,serviceaccounts,configmaps,secrets,networkpolicies,poddisruptionbudgets,roles,rolebindings"))
			// Helm leaves the pod of the last helm test, for its log.
			if !slices.Equal(left, []string{"pod/labguard-self-test"}) {
				t.Errorf("what is left in %s: %s", system, left)
			}
		}},
		{"it installs again over what it has left, and its gate stands again", func(*testing.T) {
			d.script(this.dir, again(t, l.archive)+strings.Replace(install, "kubectl create namespace labguard-system\n", "", 1))
			l.hold("2")
		}},
		{"the namespace is deleted while labguard runs, and one line takes the gate down", func(t *testing.T) {
			before := l.declared()
			d.kubectl("delete", "namespace", system)
			t.Logf("of the gate, labguard itself has left %v", left(d.gate(), empty))
			d.script(this.dir, documented.Block(t, "docs/install.md", "Without labguard", 1))
			this.extract(t)
			d.script(this.dir, documented.Block(t, "docs/install.md", "Without labguard", 2))
			l.without(t, empty, before)
		}},
		{"it installs once more, and the namespace is deleted while labguard does not run", func(t *testing.T) {
			d.script(this.dir, again(t, l.archive)+install)
			l.hold("3")
			before := l.declared()
			d.kubectl("scale", "-n", system, "deployment/labguard", "--replicas=0")
			d.kubectl("wait", "-n", system, "pod", "-l", "app.kubernetes.io/name=labguard", "--for=delete", "--timeout=60s")
			d.kubectl("delete", "namespace", system)
			if len(left(d.gate(), empty)) == 0 {
				t.Fatal("nothing of the gate is there any more, so that the one line shows nothing")
			}
			l.holds()
			d.script(this.dir, documented.Block(t, "docs/install.md", "Without labguard", 1))
			d.script(this.dir, documented.Block(t, "docs/install.md", "Without labguard", 2))
			l.without(t, empty, before)
		}},
	} {
		begun := time.Now()
		if !t.Run(step.what, func(t *testing.T) {
			d.TB = t
			step.do(t)
			for _, w := range witnesses {
				w.vouch(t)
			}
		}) {
			t.FailNow()
		}
		d.TB = t
		t.Logf("%s: %s", step.what, time.Since(begun).Round(time.Second))
	}
	l.balance()
}

// again is what docs/install.md says to do before labguard is installed again: what a gate has written on objects is not to be believed by a later one.
func again(t *testing.T, namespace string) string {
	t.Helper()
	return strings.ReplaceAll(documented.Block(t, "docs/install.md", "Without labguard", 3), "NAMESPACE", namespace)
}

// left is what there is and was not there at the beginning.
func left(now, beginning []string) []string {
	return slices.DeleteFunc(now, func(one string) bool { return slices.Contains(beginning, one) })
}

// tour takes the tour of the demo, with labguard and all pods in the cluster, and waits until all of it runs.
func (l *laboratory) tour(t *testing.T) {
	l.apply("default", tour.Namespaces)
	walk := tour.Tour{
		Out: lines{t}, Kubectl: l.kubectlWith, Clock: clock.RealClock{},
		Registry: cluster.Node().Registry, PushRegistry: cluster.RegistryHost(), Image: l.content,
	}
	if err := walk.Walk(t.Context()); err != nil {
		t.Fatal(err)
	}
	for namespace, names := range map[string][]string{tour.Pathology: {"lis", "middleware"}, tour.Chemistry: {"portal"}} {
		for _, one := range names {
			l.kubectl("rollout", "status", "-n", namespace, "deployment/"+one, "--timeout=120s")
		}
		l.until("the pods that were replaced are gone, and all others run", func() error {
			phases := l.kubectl("get", "pods", "-n", namespace, "-o", `jsonpath={range .items[*]}{.metadata.name} {.status.phase} {.metadata.deletionTimestamp}{"\n"}{end}`)
			for line := range strings.Lines(phases) {
				if fields := strings.Fields(line); len(fields) != 2 || fields[1] != "Running" {
					return fmt.Errorf("pod %s", line)
				}
			}
			return nil
		})
	}
}

// lines writes to the log of a test.
type lines struct{ testing.TB }

func (l lines) Write(text []byte) (int, error) {
	if trimmed := strings.TrimSpace(string(text)); trimmed != "" {
		l.Log(trimmed)
	}
	return len(text), nil
}

// undisturbed is what holds whichever labguard runs: the hold stands, messages flow, LabWorkloads are Ready.
func (l *laboratory) undisturbed() {
	l.Helper()
	l.holds()
	l.flows()
	l.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "labworkloads", "--all", "--all-namespaces")
}

// declared are all LabWorkloads, by namespace and name.
func (l *laboratory) declared() []string {
	l.Helper()
	return strings.Fields(l.kubectl("get", "labworkloads", "--all-namespaces", "-o", `jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{"\n"}{end}`))
}

// without is what holds once labguard is gone: nothing of its gate is left, nothing is held or asked about, LabWorkloads are there, and messages flow.
func (l *laboratory) without(t *testing.T, gate, declared []string) {
	t.Helper()
	l.until("nothing of the gate is left", func() error {
		if now := l.gate(); !slices.Equal(now, gate) {
			return fmt.Errorf("there is %v, and at the beginning there was %v", now, gate)
		}
		return nil
	})
	l.released()
	if now := l.declared(); !slices.Equal(now, declared) || len(now) == 0 {
		t.Errorf("LabWorkloads are %v, and were %v", now, declared)
	}
	l.kubectl("set", "image", "-n", l.archive, "deployment/"+waits, "main="+l.stale(fmt.Sprintf("nobody-asks-%d", os.Getpid())))
	l.kubectl("rollout", "status", "-n", l.archive, "deployment/"+waits, "--timeout=120s")
	l.flows()
}
