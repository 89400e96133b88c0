// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/labguard/labguard/internal/metrics"
)

const (
	folder  = "../../config/prometheus/"
	reasons = "../../api/v1alpha1/conditions.go"
)

var description = regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)

// catalogue is what may be asked for: the labels of each metric.
type catalogue struct {
	labels map[string][]string
	// rows are what the documentation says of each metric, with the values of its labels.
	rows map[string]string
	// reasons has the words of conditions, which some labels have as values.
	reasons string
}

func newCatalogue(t *testing.T) *catalogue {
	t.Helper()
	c := &catalogue{labels: map[string][]string{}, rows: map[string]string{}, reasons: read(t, reasons)}
	for _, collector := range slices.Concat(metrics.Collectors(), metrics.RegistryCollectors()) {
		descriptions := make(chan *prometheus.Desc, 100)
		collector.Describe(descriptions)
		close(descriptions)
		for one := range descriptions {
			match := description.FindStringSubmatch(one.String())
			if match == nil {
				t.Fatalf("cannot read %s", one)
			}
			c.labels[match[1]] = strings.FieldsFunc(match[2], func(r rune) bool { return r == ',' })
		}
	}
	for line := range strings.Lines(read(t, "../../docs/metrics.md")) {
		if name, isRow := strings.CutPrefix(line, "| `"); isRow {
			name, _, _ = strings.Cut(name, "`")
			c.rows[name] = line
		}
	}
	return c
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// metricOf is the metric of a series: a histogram has more of them.
func (c *catalogue) metricOf(series string) (string, bool) {
	if _, known := c.labels[series]; known {
		return series, true
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if name, cut := strings.CutSuffix(series, suffix); cut {
			_, known := c.labels[name]
			return name, known
		}
	}
	return series, false
}

// check parses an expression and reports what is wrong with it.
func (c *catalogue) check(t *testing.T, where, expression string) parser.Expr {
	t.Helper()
	parsed, problems := c.problems(expression)
	for _, problem := range problems {
		t.Errorf("%s: %s: %s", where, expression, problem)
	}
	return parsed
}

// problems are series that do not exist, labels that they do not have, and values of labels that are written nowhere.
func (c *catalogue) problems(expression string) (parser.Expr, []string) {
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
	if err != nil {
		return nil, []string{err.Error()}
	}
	var problems, groupings []string
	labelled := []string{"le"}
	selectors := 0
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			selectors++
			name, wrong := c.problemsOf(node)
			labelled, problems = append(labelled, c.labels[name]...), append(problems, wrong...)
		case *parser.AggregateExpr:
			groupings = append(groupings, node.Grouping...)
		}
		return nil
	})
	for _, label := range groupings {
		if !slices.Contains(labelled, label) {
			problems = append(problems, "no series has the label "+label)
		}
	}
	if selectors == 0 {
		problems = append(problems, "it asks for nothing")
	}
	return parsed, problems
}

// problemsOf also gives the name of the metric.
func (c *catalogue) problemsOf(selector *parser.VectorSelector) (string, []string) {
	name, known := c.metricOf(selector.Name)
	if !known {
		return name, []string{"there is no metric " + selector.Name}
	}
	var problems []string
	for _, matcher := range selector.LabelMatchers {
		if matcher.Name == model.MetricNameLabel {
			continue
		}
		if !slices.Contains(c.labels[name], matcher.Name) {
			problems = append(problems, name+" has no label "+matcher.Name)
		}
		if strings.HasPrefix(matcher.Value, "$") {
			continue // a variable of the dashboard
		}
		for value := range strings.SplitSeq(matcher.Value, "|") {
			if !strings.Contains(c.rows[name], "`"+value+"`") && !strings.Contains(c.reasons, `"`+value+`"`) {
				problems = append(problems, fmt.Sprintf("nothing says that %s of %s may be %q", matcher.Name, name, value))
			}
		}
	}
	return name, problems
}

// A check that finds nothing wrong with anything would not be noticed.
func TestWhatIsWrongWithAnExpressionIsFound(t *testing.T) {
	all := newCatalogue(t)
	for _, wrong := range []string{
		"sum(labguard_image)", `labguard_images{answers="Stale"}`, `labguard_images{answer="stale"}`, "sum by (name) (labguard_images)",
		"labguard_images >", "1", "labguard_admission_wait_seconds_total",
	} {
		if _, problems := all.problems(wrong); len(problems) == 0 {
			t.Errorf("%s passes", wrong)
		}
	}
}
