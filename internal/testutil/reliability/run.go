// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reliability

import (
	"fmt"
	"strings"
	"testing"
)

// Run tries the scenario in every way, each as a subtest:
//
//   - undisturbed: converges, and then writes nothing, also after a restart;
//   - order: the same again, reversed, changes while the process is down or in
//     the middle of a reconcile;
//   - crash: the process dies before and after each write, and after every one;
//   - error: each kind of call fails in each way, once, three times, lastingly;
//   - stale: reads are behind, also after a restart.
//
// All but the first compare the end state with that of the first.
func Run(t *testing.T, env *Environment, scenario Scenario) {
	t.Helper()
	t.Run(scenario.Name, func(t *testing.T) {
		h := &harness{env: env, scenario: &scenario}
		if !t.Run("undisturbed", func(t *testing.T) {
			expected, err := h.undisturbed(t.Context())
			if err != nil {
				t.Fatal(h.explain("undisturbed", "", err))
			}
			h.expected = expected
			t.Logf("%d writes, %d kinds of calls, %d objects", len(expected.writes), len(expected.shapes), len(expected.states[len(scenario.Disturb)]))
		}) {
			return
		}
		all := h.experiments()
		for len(all) > 0 {
			group := all[0].group
			n := 0
			for n < len(all) && all[n].group == group {
				n++
			}
			t.Run(group, func(t *testing.T) { h.runGroup(t, all[:n]) })
			all = all[n:]
		}
	})
}

func (h *harness) runGroup(t *testing.T, group []experiment) {
	t.Helper()
	for _, e := range group {
		t.Run(strings.ReplaceAll(e.name, " ", "-"), func(t *testing.T) {
			if !h.scenario.Serial {
				t.Parallel()
			}
			if err := e.run(t.Context()); err != nil {
				t.Error(h.explain(e.group, e.name, err))
			}
		})
	}
}

func (h *harness) explain(group, name string, err error) string {
	what := strings.TrimSpace(group + ": " + name)
	return fmt.Sprintf("scenario %q, %s\n%v", h.scenario.Name, what, err)
}
