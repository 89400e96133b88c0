// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

// What Flux says beyond kstatus.
const (
	// waits: an expression cannot be evaluated, so that Flux asks again until its timeout.
	waits = "waits"
)

// Words of Argo CD.
const (
	healthy     = "Healthy"
	progressing = "Progressing"
	degraded    = "Degraded"
	suspended   = "Suspended"
)

// Words of kstatus.
var (
	current     = string(status.CurrentStatus)
	inProgress  = string(status.InProgressStatus)
	failed      = string(status.FailedStatus)
	terminating = string(status.TerminatingStatus)
)

// state is a state of an object and what the tools have to say of it.
type state struct {
	// file is what labguard reports, below testdata and without its ending.
	file string
	// change makes of it what the API server alone could have.
	change func(*unstructured.Unstructured)
	// name is the file, and the change in words.
	name string

	// kstatus is what flux, kpt and helm --wait say without being told anything; flux what Flux says with docs/gitops/flux/kustomization.yaml, empty: the
	// same as kstatus; gate what it says with compliance-gate.yaml, empty: the same as flux; violation what it says with violation-gate.yaml, empty: the
	// same as gate; argo what Argo CD says.
	kstatus, flux, gate, violation, argo string
	// says is a part of the message of Argo CD.
	says string
}

func withoutStatus(object *unstructured.Unstructured) {
	unstructured.RemoveNestedField(object.Object, "status")
}

func defaulted(object *unstructured.Unstructured) {
	object.Object["status"] = map[string]any{"observedGeneration": int64(-1)}
}

func changedSince(object *unstructured.Unstructured) {
	object.SetGeneration(object.GetGeneration() + 1)
}

func deleted(object *unstructured.Unstructured) {
	object.Object["metadata"].(map[string]any)["deletionTimestamp"] = "2026-11-23T12:00:00Z"
}

func labWorkloads() []state {
	return []state{
		// Nobody sees this one: the CRD defaults the status. It is why.
		{file: "ready", name: "without a status", change: withoutStatus, kstatus: current, flux: waits, argo: progressing},
		{file: "ready", name: "fresh from the API server", change: defaulted, kstatus: inProgress, argo: progressing},
		{file: "ready", kstatus: current, argo: healthy, says: "Compliant True: every requirement holds"},
		{file: "ready", name: "changed since", change: changedSince, kstatus: inProgress, argo: progressing},
		{file: "ready", name: "being deleted", change: deleted, kstatus: terminating, flux: inProgress, argo: progressing},
		// What the gate has refused was never stored: the object that was refused is what fails.
		{file: "ready", name: "a rollout was denied", kstatus: current, argo: healthy},
		{file: "ready-audit", kstatus: current, argo: healthy},
		{file: "not-compliant-audit", kstatus: current, gate: inProgress, argo: healthy, says: "Compliant False: does not hold: ImagesFresh"},
		{file: "not-compliant", kstatus: current, gate: inProgress, argo: healthy, says: "Compliant False: does not hold: ImagesFresh"},
		{file: "not-known", kstatus: current, gate: inProgress, violation: current, argo: healthy, says: "Compliant Unknown: not known: ImagesFresh"},
		{file: "break-glass", kstatus: current, argo: healthy, says: "; "},
		{file: "held", kstatus: current, argo: healthy, says: "; rollouts held: 1"},
		{file: "suspended", kstatus: inProgress, argo: suspended, says: "Suspended: labguard writes nothing here"},
		{file: "in-recovery", kstatus: inProgress, argo: progressing, says: "InRecovery: "},
		{file: "canary-blocked", kstatus: inProgress, argo: progressing, says: "CanaryBlocked: "},
		{file: "reconciling-not-proven", kstatus: inProgress, argo: progressing, says: "EnforcementNotProven: "},
		{file: "reconciling-waits", kstatus: inProgress, argo: progressing, says: "CertManagerMissing: "},
		{file: "reconciling-failed", kstatus: inProgress, argo: progressing, says: "Failed: "},
		{file: "stalled-invalid-selector", kstatus: failed, argo: degraded, says: "InvalidSpec: "},
		{file: "stalled-name-taken", kstatus: failed, argo: degraded, says: "NameTaken: "},
		{file: "stalled-namespace-excluded", kstatus: failed, argo: degraded, says: "NamespaceExcluded: "},
		{file: "stalled-issuer", kstatus: failed, argo: degraded, says: "IssuerNotAllowed: "},
		{file: "stalled-issuer", name: "mended in Git", change: changedSince, kstatus: inProgress, argo: progressing},
		{file: "stalled-issuer", name: "being deleted", change: deleted, kstatus: terminating, flux: inProgress, argo: progressing},
	}
}

// identityProviders have no condition that kstatus knows: to it they are always current.
func identityProviders() []state {
	return []state{
		{file: "claims-seen", name: "fresh from the API server", change: withoutStatus, kstatus: current, flux: waits, argo: progressing},
		{file: "claims-seen", kstatus: current, argo: healthy, says: "ClaimsArrived: "},
		{file: "claims-seen", name: "changed since", change: changedSince, kstatus: current, flux: inProgress, argo: progressing},
		{file: "claims-seen", name: "being deleted", change: deleted, kstatus: terminating, flux: inProgress, argo: progressing},
		{file: "claims-not-seen", kstatus: current, argo: healthy, says: "ClaimsNotSeen: "},
		{file: "conflict", kstatus: current, flux: failed, argo: degraded, says: "IssuerTwice: "},
		{file: "conflict", name: "another issuer since", change: changedSince, kstatus: current, flux: inProgress, argo: progressing},
	}
}

// allStates are those of every kind, by the folder below testdata.
func allStates() map[string][]state {
	return map[string][]state{"labworkload": labWorkloads(), "identityprovider": identityProviders()}
}

// object reads one as an API server gives it: whole numbers are whole.
func (s state) object(t *testing.T, kind string) *unstructured.Unstructured {
	t.Helper()
	object := load(t, filepath.Join("testdata", kind, s.file+".yaml"))
	if s.change != nil {
		s.change(object)
	}
	return object
}

func load(t *testing.T, path string) *unstructured.Unstructured {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := yaml.YAMLToJSON(content)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(encoded); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return object
}

func TestGitOpsToolsAgreeOnEveryState(t *testing.T) {
	flux, gate, violation := expressions(t, "kustomization.yaml"), expressions(t, "compliance-gate.yaml"), expressions(t, "violation-gate.yaml")
	for kind, states := range allStates() {
		script := read(t, filepath.Join(argoDocs, kind+".lua"))
		for _, s := range states {
			t.Run(strings.TrimRight(kind+" "+s.file+" "+s.name, " "), func(t *testing.T) {
				object := s.object(t, kind)
				if s.flux == "" {
					s.flux = s.kstatus
				}
				if s.gate == "" {
					s.gate = s.flux
				}
				if s.violation == "" {
					s.violation = s.gate
				}
				computed, err := status.Compute(object)
				if err != nil {
					t.Fatal(err)
				}
				health := healthOf(t, script, object)
				got := []string{string(computed.Status), flux.judge(t, object), health.Status}
				want := []string{s.kstatus, s.flux, s.argo}
				if object.GetKind() == "LabWorkload" {
					got, want = append(got, gate.judge(t, object), violation.judge(t, object)), append(want, s.gate, s.violation)
				}
				if !slices.Equal(got, want) {
					t.Errorf("kstatus, Flux, Argo CD and the two gates say %q, want %q", got, want)
				}
				if health.Message == "" || !strings.Contains(health.Message, s.says) {
					t.Errorf("Argo CD says %q, want %q in it", health.Message, s.says)
				}
			})
		}
	}
}

// The tools may differ in one way alone, that what Argo CD calls suspended Flux waits for: else somebody who changes from one to the other is surprised.
func TestEveryRowOfTheTableAgreesWithItself(t *testing.T) {
	words := map[string][]string{
		current: {healthy}, inProgress: {progressing, suspended}, waits: {progressing}, failed: {degraded}, terminating: {progressing},
	}
	for kind, states := range allStates() {
		for _, s := range states {
			said := s.flux
			if said == "" {
				said = s.kstatus
			}
			if !slices.Contains(words[said], s.argo) {
				t.Errorf("%s %s %s: Flux says %s and Argo CD says %s", kind, s.file, s.name, said, s.argo)
			}
		}
	}
}

func TestEveryStateIsInTheTable(t *testing.T) {
	for kind, states := range allStates() {
		files, err := filepath.Glob(filepath.Join("testdata", kind, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files of %s: %v", len(files), kind, err)
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".yaml")
			if !slices.ContainsFunc(states, func(s state) bool { return s.file == name }) {
				t.Errorf("%s is not in the table", file)
			}
		}
	}
}
