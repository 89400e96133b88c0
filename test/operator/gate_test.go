// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// TestGate walks through the table of the rollout gate with the operator alive.
func TestGate(t *testing.T) {
	operator.Start(t, operator.Options{})
	fresh := operator.Push(t, "lab/lis:fresh", 10*day)
	newer := operator.Push(t, "lab/lis:newer", 5*day)
	stale := operator.Push(t, "lab/lis:stale", 200*day)
	older := operator.Push(t, "lab/lis:older", 300*day)
	undated := operator.Push(t, "lab/lis:undated", 0)
	epoch := operator.Push(t, "lab/lis:epoch", time.Since(time.Unix(0, 0)))

	for kind := range manifests("lis", fresh) {
		t.Run(kind+": a fresh image comes in and is recorded, a stale one is refused with everything that helps", func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.govern("lis")
			l.mayNot([]string{"labguard:", stale, "sha256:", "is stale", "(Config)", "200 days", l.namespace + "/lis allows 90 days", "stale since"},
				"create", "-f", l.file(manifests("lis", stale)[kind]))
			l.apply(manifests("lis", fresh)[kind])
			record, container := kind+"-lis", "lis"
			switch kind {
			case "job":
				l.admitted("run-once", fresh, v1alpha1.AdmittedFresh)
				return // the template of a Job never changes
			case "pod":
				record, container = "run-once", "c"
			case "cronjob":
				container = "c"
			}
			l.admitted(record, fresh, v1alpha1.AdmittedFresh)
			l.mayNot([]string{"is stale", "go back to " + fresh}, "set", "image", kind+"/lis", container+"="+stale)
			l.may("set", "image", kind+"/lis", container+"="+newer)
			l.admitted(record, newer, v1alpha1.AdmittedFresh)
			l.condition("lis", v1alpha1.ConditionImagesFresh, metav1.ConditionTrue, v1alpha1.ReasonImageFresh)
		})
	}

	t.Run("an image dated to the epoch or without a date is of unknown age: a warning, or a refusal where the spec says Deny", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.govern("lis")
		for i, image := range []string{undated, epoch} {
			output := l.may("create", "-f", l.file(deployment("lis", image)))
			if !strings.Contains(output, "ImplausibleDate") || !strings.Contains(output, image) {
				t.Errorf("image %d: no warning names it: %s", i, output)
			}
			l.admitted("deployment-lis", image, v1alpha1.AdmittedWarned)
			l.condition("lis", v1alpha1.ConditionImagesFresh, metav1.ConditionUnknown, v1alpha1.ReasonImageAgeUnknown)
			l.may("delete", "deployment", "lis")
		}
		strict := newLab(t)
		strict.govern("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Images.OnUnknownAge = v1alpha1.OnStaleDeny })
		strict.mayNot([]string{"ImplausibleDate", epoch}, "create", "-f", strict.file(deployment("lis", epoch)))
	})

	t.Run("Warn lets a stale image in, says so and records it; then the whole namespace may run it (F7)", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.govern("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Images.OnStale = v1alpha1.OnStaleWarn })
		if output := l.may("create", "-f", l.file(deployment("lis", stale))); !strings.Contains(output, "is stale") {
			t.Errorf("no warning: %s", output)
		}
		l.admitted("deployment-lis", stale, v1alpha1.AdmittedWarned)
		l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Images.OnStale = v1alpha1.OnStaleDeny })
		l.ready("lis")
		l.apply(manifests("lis", stale)["statefulset"])
	})

	t.Run("what ran before the first enforcement is PreExisting: restart, scale, config, undo, delete and apply go on, and the report says so (A1, A13, F8)", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.apply(deployment("lis", older))
		l.may("set", "image", "deployment/lis", "lis="+stale)
		l.apply(manifests("lis", older)["statefulset"])
		l.may("set", "image", "statefulset/lis", "lis="+stale)
		awaitRevisions(l, "lis", 2)
		l.govern("lis")
		l.admitted("deployment-lis", stale, v1alpha1.AdmittedPreExisting)
		l.admitted("deployment-lis", older, v1alpha1.AdmittedPreExisting)
		l.admitted("statefulset-lis", older, v1alpha1.AdmittedPreExisting)
		for _, words := range [][]string{
			{"rollout", "restart", "deployment/lis"}, {"scale", "deployment/lis", "--replicas=3"}, {"set", "env", "deployment/lis", "A=b"},
			{"rollout", "undo", "deployment/lis", "--to-revision=1"}, {"set", "image", "deployment/lis", "lis=" + stale},
			{"rollout", "undo", "statefulset/lis"}, {"delete", "deployment", "lis"}, {"create", "-f", l.file(deployment("lis", stale))},
		} {
			l.may(words...)
		}
		l.condition("lis", v1alpha1.ConditionImagesFresh, metav1.ConditionFalse, string(v1alpha1.AdmittedPreExisting))
		l.condition("lis", v1alpha1.ConditionCompliant, metav1.ConditionFalse, v1alpha1.ReasonRequirementFailed)
	})

	t.Run("a tightened limit changes the report and never the set (A1)", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.govern("lis")
		l.apply(deployment("lis", fresh))
		l.admitted("deployment-lis", fresh, v1alpha1.AdmittedFresh)
		l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Images.MaxAge = "24h" })
		l.condition("lis", v1alpha1.ConditionImagesFresh, metav1.ConditionFalse, v1alpha1.ReasonImageStale)
		l.may("rollout", "restart", "deployment/lis")
		l.may("delete", "deployment", "lis")
		l.apply(deployment("lis", fresh))
		l.mayNot([]string{newer, "is stale", "go back to " + fresh}, "set", "image", "deployment/lis", "lis="+newer)
	})

	t.Run("a workload that is labelled in later keeps what it runs as EnteredUngoverned, which no other may bring (F9)", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.govern("lis")
		l.apply(strings.ReplaceAll(deployment("portal", stale), "app: portal", "app: portal, tier: web"))
		l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) {
			spec.Selector = metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: []string{"lis", "portal"}}}}
		})
		l.admitted("deployment-portal", stale, v1alpha1.AdmittedEnteredUngoverned)
		l.may("rollout", "restart", "deployment/portal")
		l.may("set", "env", "deployment/portal", "A=b")
		l.mayNot([]string{"is stale"}, "create", "-f", l.file(deployment("lis", stale)))
		l.condition("lis", v1alpha1.ConditionImagesFresh, metav1.ConditionFalse, v1alpha1.ReasonEnteredUngoverned)
	})

	t.Run("moving the label out in the write that brings the image is no way out (F9)", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.govern("lis")
		two := strings.ReplaceAll(deployment("lis", fresh), "labels: {app: lis}", "labels: {app: lis, name: x}")
		two = strings.ReplaceAll(two, "matchLabels: {app: lis}", "matchLabels: {name: x}")
		l.apply(two)
		l.mayNot([]string{"is stale"}, "apply", "-f", l.file(strings.ReplaceAll(strings.ReplaceAll(two, "{app: lis, name: x}", "{name: x}"), fresh, stale)))
	})

	t.Run("Jobs with generated names share one record, so the nightly job goes on when its image is stale (F7)", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.govern("backup")
		job := fmt.Sprintf("apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: backup-}\nspec: {template: {metadata: {labels: {app: backup}}, spec: {restartPolicy: Never, containers: [{name: c, image: %q}]}}}\n", fresh)
		l.may("create", "-f", l.file(job))
		l.admitted("run-once", fresh, v1alpha1.AdmittedFresh)
		l.change("backup", func(spec *v1alpha1.LabWorkloadSpec) { spec.Images.MaxAge = "24h" })
		l.condition("backup", v1alpha1.ConditionImagesFresh, metav1.ConditionFalse, v1alpha1.ReasonImageStale)
		l.may("create", "-f", l.file(job))
		l.mayNot([]string{"is stale"}, "create", "-f", l.file(strings.ReplaceAll(job, fresh, newer)))
	})

	t.Run("a selector on the labels that the API server gives to a Job's pods governs the Job", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.govern("jobs", func(spec *v1alpha1.LabWorkloadSpec) {
			spec.Selector = metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "batch.kubernetes.io/job-name", Operator: metav1.LabelSelectorOpExists}}}
		})
		l.may("create", "job", "one", "--image="+fresh)
		l.mayNot([]string{"is stale"}, "create", "job", "two", "--image="+stale)
	})
}

// awaitRevisions waits until the StatefulSet controller has written revisions down.
func awaitRevisions(l *lab, name string, count int) {
	l.Helper()
	operator.Eventually(l, "revisions of StatefulSet "+name, func() error {
		var revisions appsv1.ControllerRevisionList
		if err := l.List(l.Context(), &revisions); err != nil {
			return err
		}
		found := 0
		for i := range revisions.Items {
			if revisions.Items[i].Namespace == l.namespace {
				found++
			}
		}
		if found < count {
			return fmt.Errorf("there are %d", found)
		}
		return nil
	})
}
