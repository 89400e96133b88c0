// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/internal/metrics"
)

const (
	alertsFile = folder + "alerts.yaml"
	runbook    = "../../docs/alerts.md"
	runbookURL = "https://github.com/labguard/labguard/blob/main/docs/alerts.md#"
)

func alerts(t *testing.T) []monitoringv1.Rule {
	t.Helper()
	var rule monitoringv1.PrometheusRule
	if err := yaml.UnmarshalStrict([]byte(read(t, alertsFile)), &rule); err != nil {
		t.Fatal(err)
	}
	var all []monitoringv1.Rule
	for _, group := range rule.Spec.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("there are no alerts")
	}
	return all
}

func TestAlertsAskForMetricsThatExist(t *testing.T) {
	all := newCatalogue(t)
	for _, alert := range alerts(t) {
		parsed := all.check(t, alert.Alert, alert.Expr.String())
		if parsed == nil {
			continue
		}
		for text := range strings.SplitSeq(alert.Annotations["summary"], "{{") {
			label, isTemplate := strings.CutPrefix(strings.TrimSpace(text), "$labels.")
			if !isTemplate {
				continue
			}
			label, _, _ = strings.Cut(label, " ")
			if !slices.Contains(groupings(parsed), label) && !slices.Contains(all.labels[firstSeries(parsed)], label) {
				t.Errorf("%s: the summary has %s, which the result has not", alert.Alert, label)
			}
		}
	}
}

// groupings are the labels that the aggregations of an expression keep.
func groupings(expression parser.Expr) []string {
	var labels []string
	parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
		if aggregation, is := node.(*parser.AggregateExpr); is {
			labels = append(labels, aggregation.Grouping...)
		}
		return nil
	})
	return labels
}

// firstSeries is the metric of an expression that aggregates nothing.
func firstSeries(expression parser.Expr) string {
	for _, selectors := range parser.ExtractSelectors(expression) {
		for _, matcher := range selectors {
			if matcher.Name == model.MetricNameLabel {
				return matcher.Value
			}
		}
	}
	return ""
}

// The evaluation of labguard may stop, and then nobody else says so.
func TestTheHeartbeatIsHeard(t *testing.T) {
	for _, alert := range alerts(t) {
		if strings.Contains(alert.Expr.String(), "absent(labguard_evaluation_timestamp_seconds)") {
			return
		}
	}
	t.Error("no alert hears the heartbeat")
}

var section = regexp.MustCompile("(?m)^## (\\w+)\n\n\\*(\\w+)\\*, (at once|after (\\w+))\n\n```promql\n(.+)\n```\n\n\\*\\*What it means\\.\\*\\* .+(?:\n.+)*\n\n\\*\\*Look\\.\\*\\* ")

// Each alert has a section in the runbook that is called like it, with its own expression, and says so.
func TestEveryAlertHasARunbook(t *testing.T) {
	sections := section.FindAllStringSubmatch(read(t, runbook), -1)
	var written, wanted []string
	for _, one := range sections {
		written = append(written, fmt.Sprintf("%s %s %s %s", one[1], one[2], cmp.Or(one[4], "0"), one[5]))
	}
	for _, alert := range alerts(t) {
		after := "0"
		if alert.For != nil {
			after = string(*alert.For)
		}
		wanted = append(wanted, fmt.Sprintf("%s %s %s %s", alert.Alert, alert.Labels["severity"], after, alert.Expr.String()))
		if want := runbookURL + strings.ToLower(alert.Alert); alert.Annotations["runbook_url"] != want || alert.Annotations["summary"] == "" {
			t.Errorf("%s leads to %q, want %q; its summary is %q", alert.Alert, alert.Annotations["runbook_url"], want, alert.Annotations["summary"])
		}
	}
	slices.Sort(written)
	slices.Sort(wanted)
	for _, one := range wanted {
		if !slices.Contains(written, one) {
			t.Errorf("%s has no such section: %s", runbook, one)
		}
	}
	for _, one := range written {
		if !slices.Contains(wanted, one) {
			t.Errorf("%s has a section of no alert: %s", runbook, one)
		}
	}
	if headings := strings.Count(read(t, runbook), "\n## "); headings != len(written) {
		t.Errorf("%s has %d sections, and %d of them are written as the others", runbook, headings, len(written))
	}
}

// The increase from nothing to one is none to Prometheus: a series that begins with what the alert is about would never fire it.
func TestCountersOfAlertsBeginAtZero(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(slices.Concat(metrics.Collectors(), metrics.RegistryCollectors())...)
	metrics.AirlockProbes.WithLabelValues(metrics.ProbeReached) // internal/airlock/ask does this on the leader
	checked := 0
	for _, alert := range alerts(t) {
		parsed, err := parser.NewParser(parser.Options{}).ParseExpr(alert.Expr.String())
		if err != nil {
			t.Fatal(err)
		}
		parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
			matrix, isMatrix := node.(*parser.MatrixSelector)
			if !isMatrix {
				return nil
			}
			checked++
			selector, _ := matrix.VectorSelector.(*parser.VectorSelector)
			if !begun(t, registry, selector) {
				t.Errorf("%s: a process that has counted nothing does not have all of %s", alert.Alert, selector)
			}
			return nil
		})
	}
	if checked == 0 {
		t.Error("no alert takes the increase of anything")
	}
}

// begun says whether there is a series for each value that a selector names.
func begun(t *testing.T, registry *prometheus.Registry, selector *parser.VectorSelector) bool {
	t.Helper()
	if count, err := testutil.GatherAndCount(registry, selector.Name); err != nil || count == 0 {
		return false
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				known[family.GetName()+" "+label.GetName()+" "+label.GetValue()] = true
			}
		}
	}
	for _, matcher := range selector.LabelMatchers {
		for value := range strings.SplitSeq(matcher.Value, "|") {
			if matcher.Name != model.MetricNameLabel && !known[selector.Name+" "+matcher.Name+" "+value] {
				return false
			}
		}
	}
	return true
}
