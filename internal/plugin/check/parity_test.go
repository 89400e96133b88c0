// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	webhook "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/admission"
	"github.com/labguard/labguard/internal/plugin/check"
	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/testutil/manifests"
)

var noon = time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)

const host = "registry.example/lab/"

var (
	staleDigest = "sha256:" + strings.Repeat("a", 64)
	freshDigest = "sha256:" + strings.Repeat("b", 64)
)

var corpus = manifests.Images{
	Fresh: host + "lis:2", Stale: host + "lis:1", Young: host + "lis:3", Undated: host + "distroless:1", Missing: host + "gone:1",
	FreshDigest: host + "lis@" + freshDigest, StaleDigest: host + "lis@" + staleDigest, StaleBoth: host + "lis:2@" + staleDigest,
	Exempt: host + "vendor:1", ExemptRepository: host + "vendor", Latest: host + "lis",
}

func made(days int, digest string) posture.ImageFacts {
	return posture.ImageFacts{Digest: digest, ConfigCreated: noon.AddDate(0, 0, -days)}
}

// images is a registry, for admission and for the check.
type images map[string]posture.ImageFacts

var registry = images{
	corpus.Fresh: made(10, freshDigest), corpus.Stale: made(200, staleDigest), corpus.Young: made(1, "sha256:"+strings.Repeat("c", 64)),
	corpus.Undated: {Digest: staleDigest}, corpus.Missing: {Unknown: v1alpha1.ReasonImageNotFound, Detail: "registry registry.example does not have the image"},
	corpus.FreshDigest: made(10, freshDigest), corpus.StaleDigest: made(200, staleDigest), corpus.StaleBoth: made(200, staleDigest),
	corpus.Exempt: made(900, staleDigest), corpus.Latest: made(10, freshDigest),
}

func (i images) of(query posture.ImageQuery) (posture.ImageFacts, bool) {
	facts, found := i[query.Reference]
	return facts, found
}

func (i images) Current(query posture.ImageQuery) (posture.ImageFacts, bool) { return i.of(query) }

func (i images) Resolve(_ context.Context, query posture.ImageQuery) posture.ImageFacts {
	facts, _ := i.of(query)
	return facts
}

// answer is what a person gets who applies an object.
type answer struct {
	Verdict gate.Verdict
	// Texts are refusals, or warnings where it is let in.
	Texts []string
}

// admitted sends an object through both webhooks, as the API server does. old is what it changes; nil: it is new. It gives what is stored, too.
func admitted(t *testing.T, asked *admission.Gate, object *check.Object, namespace string, old []byte) (answer, []byte) {
	t.Helper()
	raw := unmarked(t, object.JSON())
	request := webhook.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: "1", Kind: metav1.GroupVersionKind{Kind: object.Kind}, Namespace: namespace, Operation: admissionv1.Create, DryRun: new(false),
	}}
	request.UserInfo.Username, request.Object.Raw = "jane", raw
	if old != nil {
		request.Operation, request.OldObject.Raw = admissionv1.Update, old
	}
	mutated := asked.Mutating().Handle(t.Context(), request)
	if !mutated.Allowed {
		t.Fatalf("the mutating webhook refuses: %v", mutated.Result)
	}
	if len(mutated.Patches) > 0 || len(mutated.Patch) > 0 {
		patch, err := json.Marshal(mutated.Patches)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := jsonpatch.DecodePatch(patch)
		if err != nil {
			t.Fatal(err)
		}
		if request.Object.Raw, err = decoded.Apply(raw); err != nil {
			t.Fatal(err)
		}
	}
	response := asked.Validating().Handle(t.Context(), request)
	var object2 metav1.PartialObjectMetadata
	if err := json.Unmarshal(request.Object.Raw, &object2); err != nil {
		t.Fatal(err)
	}
	got := answer{Verdict: gate.RollsOut, Texts: response.Warnings}
	switch {
	case !response.Allowed:
		got.Verdict, got.Texts = gate.Refuses, append(strings.Split(response.Result.Message, "\n"), response.Warnings...)
	case hold.Marked(object2.Annotations):
		got.Verdict = gate.Holds
		got.Texts = slices.DeleteFunc(got.Texts, func(text string) bool { return strings.Contains(text, " is held") })
	case len(response.Warnings) > 0:
		got.Verdict = gate.Warns
	}
	return got, request.Object.Raw
}

// unmarked does what the policy of the API server does with what only labguard may write.
func unmarked(t *testing.T, raw []byte) []byte {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	metadata, _ := fields["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	delete(annotations, v1alpha1.AdmittedAnnotation)
	encoded, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// checked is the corpus with LabWorkloads, read and judged.
func checked(t *testing.T, facts images) (check.Report, []*check.Object, []v1alpha1.LabWorkload) {
	t.Helper()
	world := &check.World{Namespace: "default", Now: noon, Facts: facts.of}
	all := check.Parse("labworkloads.yaml", []byte(manifests.LabWorkloads("lab", corpus)))
	for _, file := range manifests.Files("lab", corpus) {
		all.Add(check.Parse(file.Name, []byte(file.Text)))
	}
	if len(all.Broken) > 0 {
		t.Fatalf("the corpus is broken: %v", all.Broken)
	}
	var workloads []v1alpha1.LabWorkload
	var others []*check.Object
	for _, object := range all.Objects {
		var one v1alpha1.LabWorkload
		switch {
		case object.Kind == "LabWorkload":
			if err := json.Unmarshal(object.JSON(), &one); err != nil {
				t.Fatal(err)
			}
			workloads = append(workloads, one)
		case object.Judged():
			others = append(others, object)
		}
	}
	return world.Make(all, 0), others, workloads
}

// same fails the test unless the check says of an object what admission has said.
func same(t *testing.T, want answer, result *check.Result) {
	t.Helper()
	got := answer{Verdict: result.Verdict}
	if got.Verdict == check.NotAsked {
		got.Verdict = gate.RollsOut
	}
	for _, finding := range result.Findings {
		text := finding.Message
		if finding.Rule == check.RuleMutableTag {
			text = check.RuleMutableTag + ": " + text
		}
		if got.Verdict != gate.Refuses || finding.Effect != gate.Holds { // what would be held is not said of what is refused
			got.Texts = append(got.Texts, "labguard: "+text)
		}
	}
	slices.Sort(got.Texts)
	slices.Sort(want.Texts)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s, %s %s/%s (-admission +check):\n%s", result.Place, result.Kind, result.Namespace, result.Name, diff)
	}
}

// gateOf is admission over what a cluster has.
func gateOf(t *testing.T, workloads []v1alpha1.LabWorkload, records []v1alpha1.RolloutRecord) *admission.Gate {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	var stored []client.Object
	for i := range workloads {
		stored = append(stored, &workloads[i])
	}
	for i := range records {
		stored = append(stored, &records[i])
	}
	return &admission.Gate{
		Reader: fake.NewClientBuilder().WithScheme(scheme).WithObjects(stored...).Build(), Facts: registry, Clock: clocktesting.NewFakePassiveClock(noon), Wait: time.Second,
	}
}

func TestAdmissionGivesTheSameAnswerToEachObjectOfTheCorpus(t *testing.T) {
	t.Parallel()
	report, objects, workloads := checked(t, registry)
	asked := gateOf(t, workloads, nil)
	if len(objects) < 100 || len(report.Results) != len(objects) {
		t.Fatalf("%d objects, and %d answers", len(objects), len(report.Results))
	}
	seen := map[gate.Verdict]int{}
	for i := range report.Results {
		result := &report.Results[i]
		at := slices.IndexFunc(objects, func(object *check.Object) bool { return object.Place() == result.Place })
		want, _ := admitted(t, asked, objects[at], result.Namespace, nil)
		same(t, want, result)
		seen[result.Verdict]++
	}
	for _, verdict := range []gate.Verdict{gate.RollsOut, gate.Warns, gate.Holds, gate.Refuses, check.NotAsked} {
		if seen[verdict] < 5 {
			t.Errorf("the corpus has only %d that end with %s: %v", seen[verdict], verdict, seen)
		}
	}
	t.Logf("%d objects: %v", len(objects), seen)
}
