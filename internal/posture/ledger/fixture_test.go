// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/ledger"
	"github.com/labguard/labguard/internal/posture/template"
)

const namespace = "pathology"

var now = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// root is an enforced Deployment with one container for each reference.
func root(name string, references ...string) ledger.ObservedRoot {
	return rootOf("Deployment", name, references...)
}

func rootOf(kind, name string, references ...string) ledger.ObservedRoot {
	apiVersion := map[string]string{"Job": "batch/v1", "CronJob": "batch/v1", "Pod": "v1"}[kind]
	if apiVersion == "" {
		apiVersion = "apps/v1"
	}
	observed := &template.Root{
		TypeMeta:   metav1.TypeMeta{APIVersion: apiVersion, Kind: kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(kind + "/" + name)},
	}
	for i, reference := range references {
		observed.Template.Images = append(observed.Template.Images, posture.TemplateImage{Container: fmt.Sprintf("c%d", i), Reference: reference})
	}
	return ledger.ObservedRoot{Root: observed, Governance: ledger.Enforced}
}

func governed(observed ledger.ObservedRoot, governance ledger.Governance) ledger.ObservedRoot {
	observed.Governance = governance
	return observed
}

func using(observed ledger.ObservedRoot, references ...string) ledger.ObservedRoot {
	observed.InUse = references
	return observed
}

// annotated gives a root the annotations that the webhook writes with these admissions.
func annotated(observed ledger.ObservedRoot, images ...v1alpha1.AdmittedImage) ledger.ObservedRoot {
	copied := *observed.Root
	copied.Annotations = ledger.Annotations(images, ledger.Set{}, nil)
	observed.Root = &copied
	return observed
}

func image(reference string, reason v1alpha1.AdmissionReason, at time.Time) v1alpha1.AdmittedImage {
	return v1alpha1.AdmittedImage{Reference: reference, Reason: reason, Time: metav1.NewTime(at), Container: "c0"}
}

func record(name string, images ...v1alpha1.AdmittedImage) v1alpha1.RolloutRecord {
	result := v1alpha1.RolloutRecord{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, ResourceVersion: "7"}}
	if kind, root, found := strings.Cut(name, "-"); found && name != v1alpha1.RunOnceRecordName {
		result.Spec.Root = &v1alpha1.RootReference{APIVersion: "apps/v1", Kind: kind, Name: root}
	}
	since := metav1.NewTime(now.Add(-time.Hour))
	result.Spec.GovernedSince = &since
	result.Spec.Admitted = images
	return result
}

// epoch is one that began an hour ago.
func epoch() v1alpha1.RolloutRecord {
	return v1alpha1.RolloutRecord{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.EpochRecordName, ResourceVersion: "7"},
		Spec:       v1alpha1.RolloutRecordSpec{Epoch: proven(now.Add(-time.Hour))},
	}
}

func proven(since time.Time) *v1alpha1.Epoch {
	start := metav1.NewTime(since)
	return &v1alpha1.Epoch{EnforcedSince: &start, Proof: v1alpha1.ReasonProven}
}

// seen is a namespace whose epoch has begun.
func seen(roots ...ledger.ObservedRoot) ledger.Observation {
	return ledger.Observation{
		Namespace: namespace, Roots: roots, Records: []v1alpha1.RolloutRecord{epoch()}, Inhabited: true, Now: now,
	}
}

// beginning is a namespace without records in which the canary has just come back.
func beginning(roots ...ledger.ObservedRoot) ledger.Observation {
	return ledger.Observation{Namespace: namespace, Roots: roots, Inhabited: true, Proof: proven(now), Now: now}
}

// apply gives the records after a plan.
func apply(records []v1alpha1.RolloutRecord, plan ledger.Plan) []v1alpha1.RolloutRecord {
	after := slices.DeleteFunc(slices.Clone(records), func(r v1alpha1.RolloutRecord) bool {
		return slices.Contains(plan.Delete, r.Name) || slices.ContainsFunc(plan.Write, func(w v1alpha1.RolloutRecord) bool { return w.Name == r.Name })
	})
	return append(after, plan.Write...)
}

// next is an observation after its plan was written.
func next(observation ledger.Observation) ledger.Observation {
	observation.Records = apply(observation.Records, ledger.PlanRecords(observation))
	observation.Proof = nil
	return observation
}

func find(t testing.TB, records []v1alpha1.RolloutRecord, name string) *v1alpha1.RolloutRecord {
	t.Helper()
	for i := range records {
		if records[i].Name == name {
			return &records[i]
		}
	}
	t.Fatalf("no record %s among %d", name, len(records))
	return nil
}

// reasons are the admissions of a record as "reference reason".
func reasons(t testing.TB, records []v1alpha1.RolloutRecord, name string) []string {
	t.Helper()
	result := []string{}
	for _, admitted := range find(t, records, name).Spec.Admitted {
		result = append(result, admitted.Reference+" "+string(admitted.Reason))
	}
	return result
}

// writable says what the API server would refuse in a record (api/v1alpha1/rolloutrecord_types.go).
func writable(written *v1alpha1.RolloutRecord) error {
	spec := &written.Spec
	if spec.Root == nil && spec.GovernedSince == nil && len(spec.Admitted) == 0 && spec.Epoch == nil && spec.UnusedSince == nil {
		return fmt.Errorf("record %s has an empty spec", written.Name)
	}
	if len(spec.Admitted) > 500 {
		return fmt.Errorf("record %s has %d admissions", written.Name, len(spec.Admitted))
	}
	known := map[string]bool{}
	valid := []v1alpha1.AdmissionReason{"Fresh", "Exempt", "Warned", "PreExisting", "Audit", "Recovery", "EnteredUngoverned"}
	for _, admitted := range spec.Admitted {
		switch {
		case known[admitted.Reference]:
			return fmt.Errorf("record %s has %s twice", written.Name, admitted.Reference)
		case admitted.Reference == "" || len(admitted.Reference) > 1024 || strings.ContainsAny(admitted.Reference, " \t\n"):
			return fmt.Errorf("record %s has reference %q", written.Name, admitted.Reference)
		case admitted.Time.IsZero():
			return fmt.Errorf("record %s has %s without time", written.Name, admitted.Reference)
		case !slices.Contains(valid, admitted.Reason):
			return fmt.Errorf("record %s has reason %q", written.Name, admitted.Reason)
		case len(admitted.Container) > 253 || len(admitted.Digest) > 256:
			return fmt.Errorf("record %s has a container or digest that is too long", written.Name)
		}
		known[admitted.Reference] = true
	}
	return nil
}

func encoded(value any) string {
	text, err := json.MarshalIndent(value, "", " ")
	return fmt.Sprint(string(text), err)
}
