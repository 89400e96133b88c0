// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

const seriesOverTime = "testdata/alerts.yaml"

// promtool runs it in a folder with the alerts as Prometheus reads them, rules.yaml, and with the tests, alerts.yaml.
func promtool(t *testing.T, arguments ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not on the PATH: Debian has it in the package prometheus. Nothing was tried about what alerts say over time")
	}
	content, err := yaml.Marshal(map[string]any{"groups": []map[string]any{{"name": "labguard", "rules": alerts(t)}}})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, file := range map[string][]byte{"rules.yaml": content, "alerts.yaml": []byte(read(t, seriesOverTime))} {
		if err := os.WriteFile(filepath.Join(folder, name), file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), program, arguments...)
	command.Dir = folder
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", arguments, err, output)
	}
}

func TestPrometheusTakesTheAlerts(t *testing.T) { promtool(t, "check", "rules", "rules.yaml") }

func TestAlertsFireWhenTheyAreToAndNotBefore(t *testing.T) {
	promtool(t, "test", "rules", "alerts.yaml")
}

// Needs no promtool: an alert that nobody has tried would not be missed there.
func TestEveryAlertIsTriedBothWays(t *testing.T) {
	var file struct {
		Tests []struct {
			Rules []struct {
				Alert  string `json:"alertname"`
				Expect []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal([]byte(read(t, seriesOverTime)), &file); err != nil {
		t.Fatal(err)
	}
	fires, rests := map[string]bool{}, map[string]bool{}
	for _, one := range file.Tests {
		for _, tried := range one.Rules {
			fires[tried.Alert] = fires[tried.Alert] || len(tried.Expect) > 0
			rests[tried.Alert] = rests[tried.Alert] || len(tried.Expect) == 0
		}
	}
	for _, alert := range alerts(t) {
		if !fires[alert.Alert] || !rests[alert.Alert] {
			t.Errorf("%s: %s has it fire: %t, rest: %t", alert.Alert, seriesOverTime, fires[alert.Alert], rests[alert.Alert])
		}
	}
	for name := range fires {
		if !hasAlert(alerts(t), name) {
			t.Errorf("%s tries %s, which is no alert", seriesOverTime, name)
		}
	}
}

func hasAlert(all []monitoringv1.Rule, name string) bool {
	for _, alert := range all {
		if alert.Alert == name {
			return true
		}
	}
	return false
}
