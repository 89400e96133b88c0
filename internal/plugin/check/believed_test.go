// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/labguard/labguard/internal/plugin/check"
	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/manifests"
)

// labWorkload is one that governs lis in the namespace lab, with more lines after its metadata.
func labWorkload(age, more string) string {
	return "apiVersion: labguard.dev/v1alpha1\nkind: LabWorkload\nmetadata: {name: lis, namespace: lab}\n" +
		"spec: {enforcement: Enforce, selector: {matchLabels: {app: lis}}, images: {maxAge: " + age + "}}\n" + more
}

// evidence is what a change could bring to be let in with an image that is stale.
func evidence(image string) map[string]string {
	digest, created := strings.TrimPrefix(staleDigest, "sha256:"), noon.AddDate(0, 0, -1).Format(time.RFC3339)
	return map[string]string{
		"a RolloutRecord": "apiVersion: labguard.dev/v1alpha1\nkind: RolloutRecord\nmetadata: {name: deployment-lis, namespace: lab}\n" +
			fmt.Sprintf("spec: {admitted: [{reference: %q, reason: Fresh, time: %q}]}\n", image, created),
		"an ImageRecord": "apiVersion: labguard.dev/v1alpha1\nkind: ImageRecord\nmetadata: {name: sha256-" + digest + "}\n" +
			fmt.Sprintf("spec: {digest: %q, reference: %q, firstSeen: %q, image: {platform: linux/amd64, created: %q}}\n", staleDigest, image, created, created),
		"a list": "apiVersion: labguard.dev/v1alpha1\nkind: ImageRecordList\nitems:\n- metadata: {name: sha256-" + digest + "}\n" +
			fmt.Sprintf("  spec: {digest: %q, reference: %q, firstSeen: %q, image: {platform: linux/amd64, created: %q}}\n", staleDigest, image, created, created),
		"a status": labWorkload("2160h", fmt.Sprintf("status: {images: [{reference: %q, digest: %q, declared: true, answer: Fresh, evidence: Config, created: %q}]}\n",
			image, staleDigest, created)),
	}
}

// proposed are manifests with a Deployment of an image, after what comes with it.
func proposed(with, image string) check.Parsed {
	all := check.Parse("with.yaml", []byte(with))
	all.Add(check.Parse("deployment.yaml", []byte(manifests.Manifest("Deployment", "lab", "lis", "containers: [{name: c, image: \""+image+"\"}]"))))
	return all
}

func TestAChangeCannotBringTheEvidenceThatLetsItIn(t *testing.T) {
	t.Parallel()
	for _, image := range []string{corpus.Stale, corpus.StaleDigest} {
		for what, text := range evidence(image) {
			facts := check.Parse("facts.yaml", []byte(labWorkload("2160h", "")))
			world := &check.World{Now: noon, Facts: registry.of}
			world.DeclareFacts(&facts)
			all := proposed(text, image)
			world.DeclareAll(&all)
			if queries := world.Queries(all.Objects); len(queries) != 1 {
				t.Errorf("%s of %s: a registry is asked %v", what, image, queries)
			}
			doubts := world.Doubts(all.Objects)
			report := world.Make(all, 0)
			if len(report.Results) != 1 || report.Results[0].Verdict != gate.Refuses {
				t.Errorf("%s of %s: %+v", what, image, report.Results)
			}
			if what == "a status" {
				continue // the API server leaves it out without a word
			}
			if len(report.Skipped) != 1 || report.Skipped[0].File != "with.yaml" || !strings.Contains(report.Skipped[0].Text, "only labguard writes these") ||
				len(doubts) != 1 || !strings.Contains(doubts[0], "give them with --facts") {
				t.Errorf("%s of %s: skipped %+v, doubts %q", what, image, report.Skipped, doubts)
			}
			// Where nobody can be asked it is not known, whatever the change says.
			world = &check.World{Now: noon}
			world.DeclareFacts(&facts)
			if got := world.Make(proposed(text+"---\n"+labWorkload("2160h", ""), image), 0); got.Counts.Unknown != 1 {
				t.Errorf("%s of %s, offline: %+v", what, image, got.Results)
			}
			// The same from somebody else counts.
			facts = check.Parse("facts.yaml", []byte(text+"---\n"+labWorkload("2160h", "")))
			world = &check.World{Now: noon}
			world.DeclareFacts(&facts)
			if got := world.Make(proposed("", image), 0); got.Results[0].Verdict != gate.RollsOut || got.Counts.Unknown != 0 || len(got.Skipped) > 1 {
				t.Errorf("%s of %s as a fact: %+v", what, image, got)
			}
		}
	}
}

func TestAStatusAmongManifestsTellsNothing(t *testing.T) {
	t.Parallel()
	for _, image := range []string{corpus.Stale, corpus.StaleDigest} {
		text := evidence(image)["a status"]
		world := &check.World{Now: noon, Facts: func(posture.ImageQuery) (posture.ImageFacts, bool) { return posture.ImageFacts{}, false }}
		if got := world.Make(proposed(text, image), 0); got.Counts.Unknown != 1 {
			t.Errorf("%s: %+v", image, got.Results)
		}
		// Applying it does not change the status that is there.
		known := check.Parse("facts.yaml", []byte(strings.ReplaceAll(text, noon.AddDate(0, 0, -1).Format(time.RFC3339), noon.AddDate(-1, 0, 0).Format(time.RFC3339))))
		world = &check.World{Now: noon}
		world.DeclareFacts(&known)
		if got := world.Make(proposed(text, image), 0); got.Counts.Unknown != 0 || got.Results[0].Verdict != gate.Refuses {
			t.Errorf("%s, with another status in force: %+v", image, got.Results)
		}
	}
}

func TestRecordsAmongManifestsAreSaidOnceForEachFile(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&text, "---\napiVersion: labguard.dev/v1alpha1\nkind: AirlockProfile\nmetadata: {name: p%d, namespace: lab}\n", i)
	}
	world := &check.World{Now: noon}
	report := world.Make(check.Parse("dump.yaml", []byte(text.String())), 0)
	if len(report.Skipped) != 1 || report.Skipped[0].Text != "3000 AirlockProfiles: only labguard writes these, and they decide nothing here" || report.Skipped[0].String() != "dump.yaml:2" {
		t.Errorf("%+v", report.Skipped)
	}
	if doubts := world.Doubts(nil); len(doubts) > 0 {
		t.Errorf("%q", doubts)
	}
}

func TestALabWorkloadThatAChangeWeakensIsSaid(t *testing.T) {
	t.Parallel()
	for what, given := range map[string]struct {
		proposed, says string
		verdict        gate.Verdict
	}{
		"weaker":        {labWorkload("87600h", ""), "in images, and counts", gate.RollsOut},
		"audit":         {strings.Replace(labWorkload("2160h", ""), "Enforce,", "Audit,", 1), "in enforcement, and counts", check.NotAsked},
		"the same":      {labWorkload("2160h", "status: {observedGeneration: 7}\n"), "", gate.Refuses},
		"weaker, same":  {labWorkload("87600h", "---\n"+labWorkload("2160h", "")), "", gate.Refuses},
		"another one":   {strings.Replace(labWorkload("87600h", ""), "name: lis", "name: other", 1), "", gate.Refuses},
		"none":          {"", "", gate.Refuses},
		"another space": {strings.Replace(labWorkload("87600h", ""), "namespace: lab", "namespace: other", 1), "", gate.Refuses},
	} {
		world := &check.World{Now: noon, Facts: registry.of}
		facts := check.Parse("facts.yaml", []byte(labWorkload("2160h", "")))
		world.DeclareFacts(&facts)
		all := proposed("---\n"+given.proposed, corpus.Stale)
		report := world.Make(all, 0)
		doubts := strings.Join(world.Doubts(nil), "\n")
		if len(report.Results) != 1 || report.Results[0].Verdict != given.verdict {
			t.Errorf("%s: %+v", what, report.Results)
		}
		text, err := json.Marshal(report.Sarif())
		if err != nil {
			t.Fatal(err)
		}
		if given.says == "" {
			if doubts != "" || len(report.Changed) > 0 || strings.Contains(string(text), "and counts") {
				t.Errorf("%s: %s %+v", what, doubts, report.Changed)
			}
			continue
		}
		if len(report.Changed) != 1 || report.Changed[0].String() != "with.yaml:2" || !strings.Contains(report.Changed[0].Text, "LabWorkload lab/lis is not as") ||
			!strings.Contains(doubts, given.says) || !strings.Contains(string(text), given.says) {
			t.Errorf("%s: %s %+v", what, doubts, report.Changed)
		}
	}
}
