// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/check"
	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/posture/template"
	"github.com/labguard/labguard/internal/testutil/manifests"
)

func one(t *testing.T, kind, namespace, image string) *check.Object {
	t.Helper()
	parsed := check.Parse("f.yaml", []byte(manifests.Manifest(kind, namespace, "lis", "containers: [{name: c, image: \""+image+"\"}]")))
	if len(parsed.Objects) != 1 {
		t.Fatal(outline(parsed))
	}
	return parsed.Objects[0]
}

func read(t *testing.T, kind string, raw []byte) *check.Before {
	t.Helper()
	root, err := template.Decode(kind, raw)
	if err != nil {
		t.Fatal(err)
	}
	fields, err := hold.Read(kind, raw)
	if err != nil {
		t.Fatal(err)
	}
	return &check.Before{Root: root, Fields: fields}
}

// lab is a world with the LabWorkloads of the corpus and some records.
func lab(t *testing.T, records ...v1alpha1.RolloutRecord) (*check.World, []v1alpha1.LabWorkload) {
	t.Helper()
	var workloads []v1alpha1.LabWorkload
	for _, object := range check.Parse("labworkloads.yaml", []byte(manifests.LabWorkloads("lab", corpus))).Objects {
		var one v1alpha1.LabWorkload
		if err := json.Unmarshal(object.JSON(), &one); err != nil {
			t.Fatal(err)
		}
		workloads = append(workloads, one)
	}
	world := &check.World{Now: noon, Facts: registry.of}
	world.Know(check.Known{Workloads: workloads, Records: records})
	return world, workloads
}

func TestAdmissionGivesTheSameAnswerToAChange(t *testing.T) {
	t.Parallel()
	seen := map[gate.Verdict]int{}
	for _, kind := range manifests.Kinds {
		for _, namespace := range []string{"lab-deny", "lab-hold", "lab-strict"} {
			for _, before := range []string{corpus.Fresh, corpus.Stale} {
				for _, after := range []string{corpus.Fresh, corpus.Stale, corpus.Undated} {
					world, workloads := lab(t)
					asked := gateOf(t, workloads, nil)
					// What runs came in while nothing enforced, or is held.
					old := one(t, kind, namespace, before).JSON()
					if before == corpus.Stale && namespace == "lab-hold" {
						_, old = admitted(t, asked, one(t, kind, namespace, before), namespace, nil)
					}
					there := read(t, kind, old)
					world.Before = func(*check.Object) *check.Before { return there }
					object := one(t, kind, namespace, after)
					want, _ := admitted(t, asked, object, namespace, old)
					result := world.Judge(object, 0)
					// What is said of a hold that goes on is a note of the check.
					want.Texts = slices.DeleteFunc(want.Texts, func(text string) bool { return strings.Contains(text, " is held") })
					same(t, want, &result)
					seen[result.Verdict]++
				}
			}
		}
	}
	for _, verdict := range []gate.Verdict{gate.RollsOut, gate.Warns, gate.Holds, gate.Refuses} {
		if seen[verdict] < 5 {
			t.Errorf("only %d changes end with %s: %v", seen[verdict], verdict, seen)
		}
	}
}

func TestWhatWasLetInOnceIsLetInAgain(t *testing.T) {
	t.Parallel()
	record := v1alpha1.RolloutRecord{
		ObjectMeta: metav1.ObjectMeta{Namespace: "lab-deny", Name: "deployment-lis"},
		Spec: v1alpha1.RolloutRecordSpec{Admitted: []v1alpha1.AdmittedImage{
			{Reference: corpus.Stale, Reason: v1alpha1.AdmittedExempt, Time: metav1.NewTime(noon.Add(-time.Hour))},
		}},
	}
	world, _ := lab(t, record)
	if got := world.Judge(one(t, "Deployment", "lab-deny", corpus.Stale), 0); got.Verdict != gate.RollsOut {
		t.Errorf("%+v", got)
	}
	if got := world.Judge(one(t, "DaemonSet", "lab-deny", corpus.Stale), 0); got.Verdict != gate.Refuses || !strings.Contains(got.Findings[0].Message, "build it anew") {
		t.Errorf("%+v", got)
	}
	if queries := world.Queries([]*check.Object{one(t, "Deployment", "lab-deny", corpus.Stale), one(t, "Deployment", "lab-free", corpus.Fresh)}); len(queries) > 0 {
		t.Errorf("registries are asked for what decides nothing: %v", queries)
	}
}

func TestARecordAnswersWhereNoRegistryDoes(t *testing.T) {
	t.Parallel()
	record := v1alpha1.ImageRecord{Spec: v1alpha1.ImageRecordSpec{
		Digest: staleDigest, Reference: corpus.Stale, FirstSeen: metav1.NewTime(noon), Image: &v1alpha1.ImageContent{Platform: "linux/amd64", Created: &metav1.Time{Time: noon.AddDate(0, 0, -200)}},
	}}
	for what, asked := range map[string]images{
		"none is asked":         nil,
		"none can be reached":   {corpus.Stale: {Unknown: v1alpha1.ReasonRegistryUnreachable}},
		"it wants credentials":  {corpus.Stale: {Unknown: v1alpha1.ReasonCredentialsNotReadable}},
		"it has not the answer": {corpus.Stale: {Unknown: v1alpha1.ReasonNotResolved}},
	} {
		world, _ := lab(t)
		world.Facts = asked.of
		unknown := world.Judge(one(t, "Deployment", "lab-deny", corpus.Stale), 0)
		if !unknown.Unknown || unknown.Verdict != gate.Warns || !unknown.Findings[0].NotKnownHere {
			t.Errorf("%s: %+v", what, unknown)
		}
		world, _ = lab(t)
		world.Facts = asked.of
		world.Know(check.Known{Images: []v1alpha1.ImageRecord{record}})
		if got := world.Judge(one(t, "Deployment", "lab-deny", corpus.Stale), 0); got.Unknown || got.Verdict != gate.Refuses {
			t.Errorf("%s: %+v", what, got)
		}
		pinned := corpus.StaleDigest
		if queries := world.Queries([]*check.Object{one(t, "Deployment", "lab-deny", pinned)}); len(queries) > 0 {
			t.Errorf("%s: a registry is asked for a digest that is known: %v", what, queries)
		}
	}
	world, _ := lab(t)
	if got := world.Judge(one(t, "Deployment", "lab-deny", corpus.Undated), 0); got.Unknown || got.Verdict != gate.Warns {
		t.Errorf("an image without a date is no matter of who asks: %+v", got)
	}
}

func TestTimeAloneChangesTheAnswer(t *testing.T) {
	t.Parallel()
	world, _ := lab(t)
	const day = 24 * time.Hour
	for days, want := range map[int]gate.Verdict{79: gate.RollsOut, 80: gate.Refuses} {
		got := world.Judge(one(t, "Deployment", "lab-deny", corpus.Fresh), time.Duration(days)*day)
		if got.Verdict != gate.RollsOut || got.Later.Verdict != want || (want == gate.Refuses) != (len(got.Later.Reasons) == 1) {
			t.Errorf("in %d days: %+v", days, got.Later)
		}
	}
	delayed := v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "later", Name: "lis"}, Spec: v1alpha1.LabWorkloadSpec{
		Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}}, Enforcement: v1alpha1.EnforcementEnforce, EnforceAfter: "2026-12-01",
		Images: &v1alpha1.ImagesSpec{MaxAge: "2160h"},
	}}
	world = &check.World{Now: noon, Facts: registry.of}
	world.Know(check.Known{Workloads: []v1alpha1.LabWorkload{delayed}})
	if got := world.Judge(one(t, "Deployment", "later", corpus.Stale), 30*day); got.Verdict != check.NotAsked || got.Later.Verdict != gate.Refuses {
		t.Errorf("%s, later %+v", got.Verdict, got.Later)
	}
}

func TestOfTwoLabWorkloadsOfOneNameTheLastCounts(t *testing.T) {
	t.Parallel()
	text := func(age string) string {
		return "apiVersion: labguard.dev/v1alpha1\nkind: LabWorkload\nmetadata: {name: lis, namespace: lab}\nspec: {enforcement: Enforce, selector: {matchLabels: {app: lis}}, images: {maxAge: " + age + "}}\n"
	}
	all := check.Parse("f.yaml", []byte(text("8760h")+"---\n"+text("24h")))
	all.Add(check.Parse("pod.yaml", []byte(manifests.Manifest("Pod", "lab", "lis", "containers: [{name: c, image: "+corpus.Fresh+"}]"))))
	world := &check.World{Now: noon, Facts: registry.of}
	report := world.Make(all, 0)
	if len(report.Results) != 1 || report.Results[0].Verdict != gate.Refuses || len(report.Skipped) != 1 ||
		report.Skipped[0].Place.String() != "f.yaml:1" || !strings.Contains(report.Skipped[0].Text, "LabWorkload lab/lis is declared again at f.yaml:6, and that counts") {
		t.Errorf("%+v", report)
	}
}
