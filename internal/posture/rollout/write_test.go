// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/rollout"
	"github.com/labguard/labguard/internal/posture/template"
)

var noon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

func workload(name string, change func(*v1alpha1.LabWorkloadSpec)) v1alpha1.LabWorkload {
	result := v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name}, Spec: v1alpha1.LabWorkloadSpec{
		Selector:    metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}},
		Enforcement: v1alpha1.EnforcementEnforce, Images: &v1alpha1.ImagesSpec{MaxAge: "2160h"},
	}}
	change(&result.Spec)
	return result
}

// root is a workload whose pods have the label app and these images.
func root(kind, app string, images ...string) *template.Root {
	result := &template.Root{TypeMeta: metav1.TypeMeta{Kind: kind}, ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: app}}
	result.Template.Labels = map[string]string{"app": app}
	for _, image := range images {
		result.Template.Images = append(result.Template.Images, posture.TemplateImage{Container: "c", Reference: image})
	}
	return result
}

func record(name string, reason v1alpha1.AdmissionReason, images ...string) v1alpha1.RolloutRecord {
	result := v1alpha1.RolloutRecord{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name}}
	for _, image := range images {
		result.Spec.Admitted = append(result.Spec.Admitted, v1alpha1.AdmittedImage{Reference: image, Reason: reason, Digest: "sha256:1", Time: metav1.NewTime(noon)})
	}
	return result
}

func names(governing []posture.Governing) []string {
	var found []string
	for _, one := range governing {
		found = append(found, one.Name)
	}
	return found
}

func TestGoverningIsWhatEnforcesNow(t *testing.T) {
	namespace := rollout.Arrange("pathology", []v1alpha1.LabWorkload{
		workload("enforces", func(*v1alpha1.LabWorkloadSpec) {}),
		workload("audits", func(spec *v1alpha1.LabWorkloadSpec) { spec.Enforcement = v1alpha1.EnforcementAudit }),
		workload("waits", func(spec *v1alpha1.LabWorkloadSpec) { spec.EnforceAfter = "2026-11-24" }),
		workload("asks-for-no-age", func(spec *v1alpha1.LabWorkloadSpec) { spec.Images = nil }),
		workload("selects-others", func(spec *v1alpha1.LabWorkloadSpec) { spec.Selector.MatchLabels = map[string]string{"app": "other"} }),
		workload("selects-nothing", func(spec *v1alpha1.LabWorkloadSpec) {
			spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Is"}}
		}),
	}, nil)
	lis, other := root("Deployment", "lis"), root("Deployment", "other")
	for name, test := range map[string]struct {
		write rollout.Write
		want  []string
	}{
		"by the labels that the pods have": {rollout.Write{Root: lis, Now: noon}, []string{"pathology/enforces"}},
		"from the instant of enforceAfter": {rollout.Write{Root: lis, Now: noon.Add(24 * time.Hour)}, []string{"pathology/enforces", "pathology/waits"}},
		"others by other labels":           {rollout.Write{Root: other, Now: noon}, []string{"pathology/selects-others"}},
		"by the labels that the pods had":  {rollout.Write{Root: other, Old: lis, Now: noon}, []string{"pathology/enforces", "pathology/selects-others"}},
		"nobody where there are no labels": {rollout.Write{Root: &template.Root{}, Now: noon}, nil},
	} {
		test.write.Namespace = namespace
		if diff := cmp.Diff(test.want, names(test.write.Governing())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestASuspendedLabWorkloadFreezesWhatItSelects(t *testing.T) {
	suspended := workload("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Suspend, spec.Images = true, nil })
	namespace := rollout.Arrange("pathology", []v1alpha1.LabWorkload{suspended, workload("other", func(*v1alpha1.LabWorkloadSpec) {})}, nil)
	if write := (&rollout.Write{Namespace: namespace, Root: root("Deployment", "lis")}); !write.Frozen() {
		t.Error("it is not frozen")
	}
	if write := (&rollout.Write{Namespace: namespace, Root: root("Deployment", "other")}); write.Frozen() {
		t.Error("what another one selects is frozen")
	}
}

func TestWhatAHeldObjectDeclaresDoesNotRun(t *testing.T) {
	namespace := rollout.Arrange("pathology", []v1alpha1.LabWorkload{workload("lis", func(*v1alpha1.LabWorkloadSpec) {})}, nil)
	for name, test := range map[string]struct {
		annotations map[string]string
		running     []string
		unknown     int
	}{
		"what an object declares":       {nil, []string{"lis:1"}, 0},
		"what a canary does not change": {map[string]string{v1alpha1.HoldAnnotation: posture.CanaryMark("x")}, []string{"lis:1"}, 0},
		"what a held object declares":   {map[string]string{v1alpha1.HoldAnnotation: `{"paused":null}`}, nil, 1},
	} {
		old := root("Deployment", "lis", "lis:1")
		old.Annotations = test.annotations
		write := &rollout.Write{Namespace: namespace, Root: root("Deployment", "lis", "lis:1"), Old: old, Now: noon}
		question := write.Question(write.Governing(), write.Admitted())
		if diff := cmp.Diff(test.running, question.Running); diff != "" || len(write.Unknown(&question)) != test.unknown {
			t.Errorf("%s: unknown are %v (-want +got):\n%s", name, write.Unknown(&question), diff)
		}
	}
}

func TestWhoseRecordsCount(t *testing.T) {
	namespace := rollout.Arrange("pathology", nil, []v1alpha1.RolloutRecord{
		record("cronjob-nightly", v1alpha1.AdmittedExempt, "backup:1"), record("deployment-lis", v1alpha1.AdmittedAudit, "lis:1"),
		record("deployment-other", v1alpha1.AdmittedFresh, "shared:1"), record(v1alpha1.RunOnceRecordName, v1alpha1.AdmittedExempt, "once:1"),
	})
	controller := true
	owned := func(kind, owner, name string) *template.Root {
		result := root(kind, "x")
		result.OwnerReferences = []metav1.OwnerReference{{Kind: owner, Name: name, Controller: &controller}}
		return result
	}
	all := []string{"backup:1", "lis:1", "shared:1", "once:1"}
	for name, test := range map[string]struct {
		root *template.Root
		want []string
	}{
		"its own, and what the namespace shares": {root("Deployment", "lis"), []string{"lis:1", "shared:1"}},
		"a Job of a CronJob":                     {owned("Job", "CronJob", "nightly"), []string{"backup:1", "shared:1"}},
		"a ReplicaSet of a Deployment":           {owned("ReplicaSet", "Deployment", "lis"), []string{"lis:1", "shared:1"}},
		"a Job of a Deployment":                  {owned("Job", "Deployment", "lis"), []string{"shared:1"}},
		"nobody owns the record of Jobs":         {root("Job", "once"), []string{"shared:1"}},
	} {
		set := (&rollout.Write{Namespace: namespace, Root: test.root}).Admitted()
		var got []string
		for _, image := range all {
			if _, admitted := set.Admitted(image); admitted {
				got = append(got, image)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTheImageToGoBackToIsWhatIsDeclaredNow(t *testing.T) {
	namespace := rollout.Arrange("pathology", nil, []v1alpha1.RolloutRecord{record("deployment-lis", v1alpha1.AdmittedFresh, "lis:1", "lis:2")})
	last := func(old *template.Root) string {
		write := &rollout.Write{Namespace: namespace, Root: root("Deployment", "lis", "lis:3"), Old: old, Now: noon}
		return write.Question(nil, write.Admitted()).LastAdmitted
	}
	if got := last(root("Deployment", "lis", "lis:2", "lis:3")); got != "lis:2" {
		t.Errorf("got %q, want what it declares now", got)
	}
	if got := last(nil); got != "lis:1" {
		t.Errorf("got %q, want the newest of its record", got)
	}
}

func TestThePlatformOfTheNodesCountsWhereThePodsAskForNone(t *testing.T) {
	namespace := rollout.Arrange("pathology", nil, nil)
	nodes, asked := posture.Platform{OS: "linux", Architecture: "arm64"}, posture.Platform{OS: "linux", Architecture: "s390x"}
	of := root("Deployment", "lis")
	write := &rollout.Write{Namespace: namespace, Root: of, Platform: nodes}
	if got := write.Query("lis:1"); got.Platform != nodes || got.Namespace != "pathology" {
		t.Errorf("%+v", got)
	}
	of.Template.Platform = asked
	if got := write.Query("lis:1"); got.Platform != asked {
		t.Errorf("%+v", got)
	}
}
