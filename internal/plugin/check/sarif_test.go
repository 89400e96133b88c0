// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/labguard/labguard/internal/plugin/check"
	"github.com/labguard/labguard/internal/plugin/gate"
)

// A log is a SARIF log as whoever reads one decodes it. The comments name the sections of SARIF 2.1.0 (OASIS, 2020) that demand what is checked.
type log struct {
	Schema  string `json:"$schema"`
	Version string
	Runs    []struct {
		Tool struct {
			Driver *struct {
				Name  string
				Rules []struct {
					ID, Name                                string
					ShortDescription, FullDescription, Help struct{ Text string }
					DefaultConfiguration                    struct{ Level string }
				}
			}
		}
		Invocations []struct {
			ExecutionSuccessful        *bool
			ToolExecutionNotifications []struct {
				Message struct{ Text string }
				Level   string
			}
		}
		ColumnKind string
		Results    *[]struct {
			RuleID              string
			RuleIndex           *int
			Level               string
			Message             struct{ Text string }
			Locations           []located
			PartialFingerprints map[string]string
		}
	}
}

type located struct {
	PhysicalLocation *struct {
		ArtifactLocation struct{ URI string }
		Region           *struct{ StartLine int }
	}
}

// demands checks what the specification demands of a log, and gives it decoded.
func demands(t *testing.T, raw []byte) log {
	t.Helper()
	var read log
	if err := json.Unmarshal(raw, &read); err != nil {
		t.Fatal(err)
	}
	if read.Version != "2.1.0" || read.Schema == "" || len(read.Runs) != 1 { // 3.13.2, 3.13.4
		t.Fatalf("version %q, %d runs", read.Version, len(read.Runs))
	}
	run := read.Runs[0]
	if run.Tool.Driver == nil || run.Tool.Driver.Name == "" { // 3.18.2, 3.19.8
		t.Fatal("the tool has no driver with a name")
	}
	if run.Results == nil { // 3.14.23: null or absent would say that nothing was looked for
		t.Fatal("no results are not the same as none found")
	}
	levels := []string{"none", "note", "warning", "error"} // 3.27.10, 3.58.6
	ids := map[string]bool{}
	for _, rule := range run.Tool.Driver.Rules {
		// 3.49.3; 3.49.9 and 3.49.10: text that stands alone ends as a sentence where it is one.
		if rule.ID == "" || ids[rule.ID] || rule.ShortDescription.Text == "" || !strings.HasSuffix(rule.FullDescription.Text, ".") || rule.Help.Text == "" {
			t.Errorf("rule %+v", rule)
		}
		ids[rule.ID] = true
		if !slices.Contains(levels, rule.DefaultConfiguration.Level) {
			t.Errorf("level %q", rule.DefaultConfiguration.Level)
		}
	}
	for _, invocation := range run.Invocations {
		if invocation.ExecutionSuccessful == nil { // 3.20.14
			t.Error("an invocation does not say whether it was successful")
		}
		for _, one := range invocation.ToolExecutionNotifications {
			if one.Message.Text == "" || !slices.Contains(levels, one.Level) { // 3.58.5
				t.Errorf("notification %+v", one)
			}
		}
	}
	for _, result := range *run.Results {
		rules := run.Tool.Driver.Rules
		if result.RuleIndex == nil || *result.RuleIndex < 0 || *result.RuleIndex >= len(rules) || rules[*result.RuleIndex].ID != result.RuleID { // 3.27.6
			t.Errorf("result of %s with index %v", result.RuleID, result.RuleIndex)
		}
		if result.Message.Text == "" || !slices.Contains(levels, result.Level) || len(result.Locations) != 1 || len(result.PartialFingerprints) == 0 { // 3.27.11, 3.27.12, 3.27.17
			t.Errorf("result %+v", result)
		}
		for _, at := range result.Locations {
			if at.PhysicalLocation == nil { // 3.28.3
				t.Fatalf("%s has no physical location", result.Message.Text)
			}
			uri := at.PhysicalLocation.ArtifactLocation.URI
			if parsed, err := url.Parse(uri); err != nil || uri == "" || strings.Contains(uri, `\`) || parsed.String() != uri { // 3.4.3, 3.10.1: RFC 3986
				t.Errorf("uri %q: %v", uri, err)
			}
			if region := at.PhysicalLocation.Region; region != nil && region.StartLine < 1 { // 3.30.5
				t.Errorf("line %d", region.StartLine)
			}
		}
	}
	return read
}

func encoded(t *testing.T, value any) []byte {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestALogKeepsToTheSpecification(t *testing.T) {
	t.Parallel()
	report, _, _ := checked(t, registry)
	report.Broken = append(report.Broken, check.Remark{Place: check.Place{File: "a b/ü:%.yaml", Line: 3}, Text: "it is broken"}, check.Remark{Place: check.Place{File: "-"}, Text: "nothing"},
		check.Remark{Place: check.Place{File: "/abs/x.yaml"}, Text: "nothing"})
	report.Skipped = append(report.Skipped, check.Remark{Place: check.Place{File: "values.yaml"}, Text: "it is no object"})
	read := demands(t, encoded(t, report.Sarif()))
	results := *read.Runs[0].Results
	findings := 0
	for i := range report.Results {
		findings += len(report.Results[i].Findings)
	}
	if len(results) != findings+3+unfound(&report) || findings < 50 {
		t.Errorf("%d results of %d findings", len(results), findings)
	}
	uris, same := map[string]bool{}, map[string]string{}
	for _, result := range results {
		at := result.Locations[0].PhysicalLocation
		uris[at.ArtifactLocation.URI] = true
		key := result.RuleID + at.ArtifactLocation.URI + result.Message.Text
		if other, found := same[result.PartialFingerprints["labguardImage/v1"]]; found && other != key {
			t.Errorf("one fingerprint for %s and %s", key, other)
		}
		same[result.PartialFingerprints["labguardImage/v1"]] = key
		if result.RuleID == check.RuleStale && at.Region == nil {
			t.Errorf("%s names no line", result.Message.Text)
		}
	}
	for _, uri := range []string{"a%20b/%C3%BC:%25.yaml", "stdin", "file:///abs/x.yaml"} {
		if !uris[uri] {
			t.Errorf("no result at %s", uri)
		}
	}
	demands(t, encoded(t, (&check.Report{}).Sarif()))
}

// unfound are the objects that count for the exit code without a finding that says why.
func unfound(report *check.Report) int {
	count := 0
	for i := range report.Results {
		one := &report.Results[i]
		stops := func(verdict gate.Verdict) bool {
			return verdict == gate.Refuses || verdict == gate.Holds || verdict == check.Invalid
		}
		if stops(one.Verdict) && !slices.ContainsFunc(one.Findings, func(f check.Finding) bool { return stops(f.Effect) }) {
			count++
		}
		if one.Later != nil && stops(one.Later.Verdict) && !stops(one.Verdict) {
			count++
		}
	}
	return count
}

// A pull request that fails shows where.
func TestEveryObjectThatFailsACheckIsInTheLog(t *testing.T) {
	t.Parallel()
	at := check.Place{File: "lis.yaml", Line: 7}
	report := check.Report{Results: []check.Result{
		{Place: at, Kind: "Deployment", Name: "held", Verdict: gate.Holds, Notes: []string{"it is held in the cluster"}},
		{Place: at, Kind: "Deployment", Name: "later", Verdict: gate.RollsOut, Later: &check.Outcome{At: noon, Verdict: gate.Refuses, Reasons: []string{"the image is stale"}}},
		{Place: at, Kind: "Deployment", Name: "both", Verdict: gate.Warns, Findings: []check.Finding{{Place: at, Rule: check.RuleMutableTag, Effect: gate.Warns, Message: "latest"}},
			Later: &check.Outcome{At: noon, Verdict: gate.Holds, Reasons: []string{"the image is stale"}}},
		{Place: at, Kind: "Deployment", Name: "fine", Verdict: gate.RollsOut, Later: &check.Outcome{At: noon, Verdict: gate.RollsOut}},
	}}
	read := demands(t, encoded(t, report.Sarif()))
	var got []string
	for _, one := range *read.Runs[0].Results {
		got = append(got, one.RuleID+" "+one.Level+" "+one.Message.Text)
	}
	want := []string{
		"StoppedInCluster error Deployment held: the gate holds it; it is held in the cluster",
		"StoppedLater warning Deployment later: on " + noon.Format("2006-01-02") + " the gate refuses it: the image is stale",
		"MutableTag note Deployment both: latest",
		"StoppedLater warning Deployment both: on " + noon.Format("2006-01-02") + " the gate holds it: the image is stale",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestAFingerprintStaysWhenTheLineAndTheTagChange(t *testing.T) {
	t.Parallel()
	of := func(before, image string) map[string]string {
		world := &check.World{Namespace: "x", Now: noon, Facts: images{"r.example/a:1": made(100, staleDigest), "r.example/a:2": made(200, freshDigest)}.of}
		all := check.Parse("lw.yaml", []byte(before+"apiVersion: labguard.dev/v1alpha1\nkind: LabWorkload\nmetadata: {name: a}\nspec: {enforcement: Enforce, selector: {}, images: {maxAge: 1h}}\n"+
			"---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: \""+image+"\"}]}\n"))
		report := world.Make(all, 0)
		read := demands(t, encoded(t, report.Sarif()))
		if results := *read.Runs[0].Results; len(results) == 1 {
			return results[0].PartialFingerprints
		}
		t.Fatalf("%+v", report)
		return nil
	}
	one, other := of("", "r.example/a:1"), of("# a line\n", "r.example/a:2")
	if one["labguardImage/v1"] != other["labguardImage/v1"] {
		t.Errorf("%v became %v", one, other)
	}
}
