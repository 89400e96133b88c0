// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/labguard/labguard/internal/metrics"
)

const page = "../../docs/metrics.md"

var (
	inDescription = regexp.MustCompile(`fqName: "([^"]+)"`)
	inText        = regexp.MustCompile(`\blabguard_[a-z0-9_]+`)
)

// registered are the names of all metrics.
func registered(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, collector := range slices.Concat(metrics.Collectors(), metrics.RegistryCollectors()) {
		descriptions := make(chan *prometheus.Desc, 100)
		collector.Describe(descriptions)
		close(descriptions)
		for description := range descriptions {
			name := inDescription.FindStringSubmatch(description.String())
			if name == nil {
				t.Fatalf("no name in %s", description)
			}
			names = append(names, name[1])
		}
	}
	return distinct(names)
}

// named are the names of metrics in a file, each without what Prometheus adds to the name of a histogram.
func named(t *testing.T, path string) []string {
	t.Helper()
	read, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range inText.FindAllString(string(read), -1) {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, suffix)
		}
		names = append(names, name)
	}
	return distinct(names)
}

func distinct(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

func TestEveryMetricIsDocumentedAndEveryDocumentedMetricExists(t *testing.T) {
	documented := named(t, page)
	if diff := cmp.Diff(registered(t), documented); diff != "" {
		t.Errorf("metrics (-registered +documented):\n%s", diff)
	}
}
