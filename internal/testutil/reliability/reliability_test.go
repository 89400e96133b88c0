// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reliability

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/labguard/labguard/internal/testutil/cluster"
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(cluster.Main(m))
}

func environment(t *testing.T) *Environment {
	t.Helper()
	env, err := Connect(cluster.Config(), nil, scheme.Scheme)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func TestAGoodReconcilerPasses(t *testing.T) {
	Run(t, environment(t), toyScenario(none))
}

// findings are the failures of the experiments of a group, or of the
// undisturbed run, up to one that has all of want.
func findings(t *testing.T, group string, scenario Scenario, want ...string) []string {
	t.Helper()
	h := &harness{env: environment(t), scenario: &scenario}
	expected, err := h.undisturbed(t.Context())
	if err != nil {
		return []string{h.explain("undisturbed", "", err)}
	}
	h.expected = expected
	var found []string
	for _, e := range h.experiments() {
		if e.group != group {
			continue
		}
		if err := e.run(t.Context()); err != nil {
			found = append(found, h.explain(e.group, e.name, err))
			if containsAll(found[len(found)-1], want) {
				return found
			}
		}
	}
	return found
}

func TestABrokenReconcilerIsCaught(t *testing.T) {
	for _, test := range []struct {
		flaw  flaw
		group string
		// want are parts of one message.
		want []string
	}{
		{needsMemory, "crash", []string{"crash: after write 1 apply-ConfigMap", "differs", "b.example"}},
		{writesAlways, "undisturbed", []string{"does not converge", "apply-ConfigMap"}},
		{retriesCreate, "error", []string{"timeout-applied on the first 1 create-ConfigMap", "differs", "#2"}},
		{panicsOnNoMatch, "error", []string{"lasting no-match on apply-ConfigMap", "panic: no such kind"}},
		{replacesExisting, "stale", []string{"deleted ConfigMap <namespace 1>/toy-a.example, which the undisturbed run does not delete"}},
		{swallowsErrors, "error", []string{"forbidden on the first 1 get-Ingress", "swallowed"}},
		{onlyOnEvent, "order", []string{"changes while the process is down", "differs", "b.example"}},
		{deletesOnError, "error", []string{"internal-error on the first 1 list-ConfigMap", "deleted ConfigMap"}},
		{countsAttempts, "undisturbed", []string{"does not converge", "apply-Ingress.status"}},
	} {
		t.Run(string(test.flaw), func(t *testing.T) {
			t.Parallel()
			found := findings(t, test.group, toyScenario(test.flaw), test.want...)
			if n := len(found); n > 0 && containsAll(found[n-1], test.want) {
				t.Log(found[n-1])
				return
			}
			t.Errorf("no finding says %q; there are %d:\n%s", test.want, len(found), strings.Join(found, "\n"))
		})
	}
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

func TestWhatMustAlwaysHoldIsLookedAtAfterEachWrite(t *testing.T) {
	scenario := toyScenario(none)
	scenario.Always = func(ctx context.Context, w *World) error {
		var children corev1.ConfigMapList
		if err := w.Admin.List(ctx, &children, client.InNamespace(w.Namespace)); err != nil {
			return err
		}
		for _, child := range children.Items {
			if child.Data["host"] == "c.example" {
				return errors.New("c.example has a child")
			}
		}
		return nil
	}
	found := findings(t, "none", scenario)
	if len(found) != 1 || !strings.Contains(found[0], "c.example has a child") {
		t.Errorf("findings are %q; want the one violation", found)
	}
}
