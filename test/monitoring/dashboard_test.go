// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	grafanaprometheus "github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

const dashboardFile = folder + "dashboard.json"

// anyDataSource is the variable of the dashboard, so that it has a data source wherever it is imported.
const anyDataSource = "${datasource}"

// panelsOf reads a dashboard by Grafana's own schema, which knows each field and option of these kinds of panels and refuses all others. It is read twice:
// what checks it keeps nothing that lies deeper, as it takes an empty list of problems for one.
func panelsOf(content []byte) ([]dashboard.Panel, error) {
	runtime := cog.NewRuntime()
	runtime.RegisterPanelcfgVariant(stat.VariantConfig())
	runtime.RegisterPanelcfgVariant(timeseries.VariantConfig())
	runtime.RegisterDataqueryVariant(grafanaprometheus.VariantConfig())
	var checked, board dashboard.Dashboard //nolint:staticcheck // its successor is an object of Grafana's API, and no file that can be imported
	for _, err := range []error{checked.UnmarshalJSONStrict(content), json.Unmarshal(content, &board), board.Validate()} {
		var problems cog.BuildErrors
		if err != nil && (!errors.As(err, &problems) || len(problems) > 0) {
			return nil, err
		}
	}
	var all []dashboard.Panel
	for _, panel := range board.Panels {
		if panel.Panel != nil {
			all = append(all, *panel.Panel)
		}
	}
	return all, nil
}

func panels(t *testing.T) []dashboard.Panel {
	t.Helper()
	all, err := panelsOf([]byte(read(t, dashboardFile)))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("the dashboard has no panels")
	}
	return all
}

// A schema that takes everything would not be noticed.
func TestWhatGrafanaDoesNotKnowIsFound(t *testing.T) {
	content := read(t, dashboardFile)
	for right, wrong := range map[string]string{
		`"schemaVersion":`: `"schemeVersion":`, `"gridPos":`: `"gridpos":`, `"collapsed":`: `"collapse":`, `"colorMode": "value"`: `"colourMode": "value"`,
		`"expr": "`: `"expression": "`, `"graphMode": "none"`: `"graphMode": 1`,
	} {
		if !strings.Contains(content, right) {
			t.Fatalf("the dashboard has no %s", right)
		}
		if _, err := panelsOf([]byte(strings.Replace(content, right, wrong, 1))); err == nil {
			t.Errorf("Grafana's schema takes %s", wrong)
		}
	}
}

func TestTheDashboardAsksForMetricsThatExist(t *testing.T) {
	all := newCatalogue(t)
	shown := map[string]bool{}
	for _, panel := range panels(t) {
		title := *panel.Title
		if panel.Datasource == nil || *panel.Datasource.Uid != anyDataSource || panel.Description == nil || *panel.Description == "" {
			t.Errorf("%s has no description, or a data source of its own", title)
		}
		if len(panel.Targets) == 0 {
			t.Errorf("%s asks for nothing", title)
		}
		for _, target := range panel.Targets {
			query, isQuery := target.(*grafanaprometheus.Dataquery)
			if !isQuery {
				t.Errorf("%s has a query of type %T", title, target)
				continue
			}
			if query.Datasource == nil || *query.Datasource.Uid != anyDataSource {
				t.Errorf("%s: a query has a data source of its own", title)
			}
			parsed := all.check(t, title, strings.ReplaceAll(query.Expr, "$__rate_interval", "5m"))
			if parsed == nil {
				continue
			}
			for name := range all.labels {
				shown[name] = shown[name] || strings.Contains(query.Expr, name)
			}
		}
	}
	for name := range all.labels {
		if !shown[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

func TestPanelsStandBesideEachOther(t *testing.T) {
	taken := map[[2]uint32]string{}
	var ids []uint32
	for _, panel := range panels(t) {
		at := panel.GridPos
		if at == nil || at.X+at.W > 24 || at.W == 0 || at.H == 0 {
			t.Fatalf("%s stands at %+v", *panel.Title, at)
		}
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other := taken[[2]uint32{x, y}]; other != "" {
					t.Fatalf("%s stands on %s", *panel.Title, other)
				}
				taken[[2]uint32{x, y}] = *panel.Title
			}
		}
		if slices.Contains(ids, *panel.Id) {
			t.Errorf("%s has the number of another", *panel.Title)
		}
		ids = append(ids, *panel.Id)
	}
}
