// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/ledger"
)

// The rows of the table "The rollout gate" about an image that is not admitted, for every kind.
func TestAnImageThatIsNewHereIsJudged(t *testing.T) {
	type outcome struct {
		allowed, warned bool
		reason          v1alpha1.AdmissionReason
	}
	fresh, refused, warned := outcome{true, false, v1alpha1.AdmittedFresh}, outcome{}, outcome{true, true, v1alpha1.AdmittedWarned}
	tests := []struct {
		image string
		deny  outcome
		warn  outcome
	}{
		{freshImage, fresh, fresh}, {staleImage, refused, warned}, {unknownImage, refused, warned},
	}
	for kind, object := range kinds {
		for _, test := range tests {
			for policy, want := range map[string]outcome{"Deny": test.deny, "Warn": test.warn} {
				for _, operation := range []string{"CREATE", "UPDATE"} {
					t.Run(fmt.Sprintf("%s %s of %s under %s", operation, kind, test.image, policy), func(t *testing.T) {
						governing := workload("lis")
						if policy == "Warn" {
							governing = workload("lis", warnOnly)
						}
						write := create(t, kind, object(test.image))
						if operation == "UPDATE" {
							write = update(t, kind, object(oldImage), object(test.image))
						}
						got := send(t, gateWith(newImages(), governing), write)
						if got.allowed != want.allowed || (len(got.warnings) > 0) != want.warned {
							t.Fatalf("allowed %t with warnings %q: %s", got.allowed, got.warnings, got.message)
						}
						recorded, carried := got.admissions()[test.image], slices.Contains(ledger.References(got.annotations), test.image)
						if recorded != want.reason || carried != want.allowed {
							t.Errorf("recorded as %q, in the list %t; want %q", recorded, carried, want.reason)
						}
						text := strings.Join(append(got.warnings, got.message), "\n")
						if test.image != freshImage && !strings.Contains(text, test.image) {
							t.Errorf("nothing names the image: %s", text)
						}
					})
				}
			}
		}
	}
}

func TestWhatIsWrittenIsTheWholeAdmission(t *testing.T) {
	got := send(t, gateWith(newImages(), workload("lis")), create(t, "Deployment", deployment(freshImage)))
	want := []v1alpha1.AdmittedImage{{Reference: freshImage, Container: "a", Digest: digest, Reason: v1alpha1.AdmittedFresh, Time: metav1.NewTime(now)}}
	if diff := cmp.Diff(want, ledger.Admissions(got.annotations)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.annotations[v1alpha1.AdmittedAnnotation] != freshImage {
		t.Errorf("the list is %q", got.annotations[v1alpha1.AdmittedAnnotation])
	}
}

// The row about images that are admitted: restart, config fix, rollback, delete and apply, restore.
func TestAnAdmittedImageIsLetInWhateverItsAge(t *testing.T) {
	cronJob := []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "CronJob", Name: "nightly", UID: "1", Controller: new(true)}}
	job := func() runtime.Object {
		owned, _ := kinds["Job"](staleImage).(*batchv1.Job)
		owned.OwnerReferences = cronJob
		return owned
	}
	tests := map[string]struct {
		kind    string
		old     client.Object
		object  runtime.Object
		records []client.Object
	}{
		"by the annotation of the old object":                   {"Deployment", admitted(deployment(oldImage), staleImage), deployment(staleImage), nil},
		"by its own record, deleted and applied again":          {"Deployment", nil, deployment(staleImage), []client.Object{record("deployment-lis", "Fresh", staleImage)}},
		"by its own record, whatever the reason":                {"Deployment", nil, deployment(staleImage), []client.Object{record("deployment-lis", "EnteredUngoverned", staleImage)}},
		"by its own record, rolling back":                       {"StatefulSet", kinds["StatefulSet"](freshImage).(client.Object), kinds["StatefulSet"](staleImage), []client.Object{record("statefulset-lis", "Audit", staleImage)}},
		"by the record of the CronJob that a Job was made from": {"Job", nil, job(), []client.Object{record("cronjob-nightly", "EnteredUngoverned", staleImage)}},
		"by another record of the namespace, as Fresh":          {"Deployment", nil, deployment(staleImage), []client.Object{record("statefulset-other", "Fresh", staleImage)}},
		"by another record of the namespace, as PreExisting":    {"Deployment", nil, deployment(staleImage), []client.Object{record("run-once", "PreExisting", staleImage)}},
		"by another record of the namespace, as Warned":         {"Pod", nil, pod(staleImage), []client.Object{record("deployment-other", "Warned", staleImage)}},
		"by the record that Jobs and bare pods share":           {"Job", nil, kinds["Job"](staleImage), []client.Object{record("run-once", "Fresh", staleImage)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			write := create(t, test.kind, test.object)
			if test.old != nil {
				write = update(t, test.kind, test.old, test.object)
			}
			facts := newImages()
			got := send(t, gateWith(facts, append(test.records, workload("lis"))...), write)
			if !got.allowed || len(got.warnings) > 0 {
				t.Errorf("allowed %t, %q, warnings %q", got.allowed, got.message, got.warnings)
			}
			if !slices.Contains(ledger.References(got.annotations), staleImage) {
				t.Errorf("annotations are %v", got.annotations)
			}
			if asked := facts.asked(); len(asked) > 0 {
				t.Errorf("the age of an admitted image was asked for: %v", asked)
			}
		})
	}
}

func TestAnAdmissionOfSomebodyElseDoesNotCount(t *testing.T) {
	owner := func(kind string) []metav1.OwnerReference {
		return []metav1.OwnerReference{{APIVersion: "v1", Kind: kind, Name: "nightly", UID: "1", Controller: new(true)}}
	}
	deploymentOf := func(kind string) runtime.Object {
		object := deployment(staleImage)
		object.OwnerReferences = owner(kind)
		return object
	}
	tests := map[string]struct {
		kind    string
		old     client.Object
		object  runtime.Object
		records []client.Object
	}{
		"in another record with a reason of that root alone": {"Deployment", nil, deployment(staleImage), []client.Object{
			record("deployment-a", "Exempt", staleImage), record("deployment-b", "Audit", staleImage), record("deployment-c", "Recovery", staleImage),
			record("deployment-d", "EnteredUngoverned", staleImage),
		}},
		"in the shared record with a reason of one pod alone": {"Pod", nil, pod(staleImage), []client.Object{record("run-once", "EnteredUngoverned", staleImage)}},
		"in the record of the same name of another kind":      {"Deployment", nil, deployment(staleImage), []client.Object{record("statefulset-lis", "Audit", staleImage)}},
		"in a record of another namespace": {"Deployment", nil, deployment(staleImage), []client.Object{&v1alpha1.RolloutRecord{
			ObjectMeta: metav1.ObjectMeta{Namespace: "radiology", Name: "deployment-lis"}, Spec: record("", "Fresh", staleImage).Spec,
		}}},
		"in the annotation of the new object, created":               {"Deployment", nil, admitted(deployment(staleImage), staleImage), nil},
		"in the annotation of the new object, updated":               {"Deployment", deployment(oldImage), admitted(deployment(staleImage), staleImage), nil},
		"of an owner that a tenant wrote, F1":                        {"Deployment", nil, deploymentOf("ConfigMap"), nil},
		"of a CronJob that only a Job takes over from":               {"Deployment", nil, deploymentOf("CronJob"), []client.Object{record("cronjob-nightly", "Audit", staleImage)}},
		"of a reference that begins alike, in the annotation":        {"Deployment", admitted(deployment(oldImage), staleImage+"r"), deployment(staleImage), nil},
		"in an annotation whose reference would hide two, as a list": {"Deployment", deploymentWith(map[string]string{v1alpha1.AdmissionsAnnotation: `[{"reference":"a ` + staleImage + `"}]`}), deployment(staleImage), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			write := create(t, test.kind, test.object)
			if test.old != nil {
				write = update(t, test.kind, test.old, test.object)
			}
			if got := send(t, gateWith(newImages(), append(test.records, workload("lis"))...), write); got.allowed {
				t.Errorf("let in, annotations %v", got.annotations)
			}
		})
	}
}

func deploymentWith(annotations map[string]string) client.Object {
	object := deployment(oldImage)
	object.Annotations = annotations
	return object
}

func TestWhatTheOldObjectRunsIsNeverRefused(t *testing.T) {
	gate := gateWith(newImages(), workload("lis"))
	t.Run("when something else changes", func(t *testing.T) {
		changed := deployment(staleImage)
		changed.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "B"}}
		got := send(t, gate, update(t, "Deployment", deployment(staleImage), changed))
		if !got.allowed || len(got.warnings) > 0 || got.admissions()[staleImage] != v1alpha1.AdmittedEnteredUngoverned {
			t.Errorf("%+v", got)
		}
	})
	t.Run("when a fresh image comes beside it", func(t *testing.T) {
		got := send(t, gate, update(t, "Deployment", deployment(staleImage, oldImage), deployment(staleImage, freshImage)))
		want := map[string]v1alpha1.AdmissionReason{staleImage: v1alpha1.AdmittedEnteredUngoverned, freshImage: v1alpha1.AdmittedFresh}
		if diff := cmp.Diff(want, got.admissions()); !got.allowed || diff != "" {
			t.Errorf("allowed %t (-want +got):\n%s", got.allowed, diff)
		}
	})
	t.Run("but a second stale image is", func(t *testing.T) {
		got := send(t, gate, update(t, "Deployment", deployment(oldImage), deployment(oldImage, staleImage)))
		if got.allowed || strings.Contains(got.message, "image "+oldImage) || len(got.annotations) > 0 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("also in a pod whose other image is changed in place", func(t *testing.T) {
		if got := send(t, gate, update(t, "Pod", pod(staleImage, oldImage), pod(staleImage, staleImage))); !got.allowed {
			t.Errorf("%+v", got)
		}
	})
}

func TestEverythingThatCarriesAnImageIsJudged(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	changes := map[string]func(*corev1.PodSpec){
		"a second container": func(spec *corev1.PodSpec) {
			spec.Containers = append(spec.Containers, corev1.Container{Name: "x", Image: staleImage})
		},
		"an init container": func(spec *corev1.PodSpec) {
			spec.InitContainers = []corev1.Container{{Name: "x", Image: staleImage}}
		},
		"a sidecar": func(spec *corev1.PodSpec) {
			spec.InitContainers = []corev1.Container{{Name: "x", Image: staleImage, RestartPolicy: &always}}
		},
		"an image volume": func(spec *corev1.PodSpec) {
			spec.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: staleImage}}}}
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			object := deployment(freshImage)
			change(&object.Spec.Template.Spec)
			if got := send(t, gateWith(newImages(), workload("lis")), create(t, "Deployment", object)); got.allowed || !strings.Contains(got.message, staleImage) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestOfTwoLabWorkloadsTheStricterWins(t *testing.T) {
	lenient := func(spec *v1alpha1.LabWorkloadSpec) { spec.Images.MaxAge = "8760h" }
	exempts := func(spec *v1alpha1.LabWorkloadSpec) {
		spec.Images.Exempt = []v1alpha1.ImageExemption{{Pattern: "registry.lab.example/*", Reason: "vendor", Expires: metav1.NewTime(now.Add(time.Hour))}}
	}
	everything := func(spec *v1alpha1.LabWorkloadSpec) {
		spec.Selector = metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpExists}}}
	}
	tests := map[string]struct {
		workloads []client.Object
		allowed   bool
		reason    v1alpha1.AdmissionReason
	}{
		"Deny beside Warn":                             {[]client.Object{workload("a", warnOnly), workload("b")}, false, ""},
		"in either order":                              {[]client.Object{workload("a"), workload("b", warnOnly)}, false, ""},
		"90 days beside a year":                        {[]client.Object{workload("a", lenient), workload("b", everything)}, false, ""},
		"Warned beside Fresh":                          {[]client.Object{workload("a", lenient), workload("b", warnOnly)}, true, v1alpha1.AdmittedWarned},
		"an exemption of one exempts not from another": {[]client.Object{workload("a", exempts), workload("b")}, false, ""},
		"exempt everywhere":                            {[]client.Object{workload("a", exempts), workload("b", exempts)}, true, v1alpha1.AdmittedExempt},
		"Audit does not count":                         {[]client.Object{workload("a", lenient), workload("b", auditOnly)}, true, v1alpha1.AdmittedFresh},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := send(t, gateWith(newImages(), test.workloads...), create(t, "Deployment", deployment(staleImage)))
			if got.allowed != test.allowed || got.admissions()[staleImage] != test.reason {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestWithoutEnforcementNothingIsAskedOrRecorded(t *testing.T) {
	elsewhere := workload("lis")
	elsewhere.Namespace = "radiology"
	tests := map[string]client.Object{
		"no LabWorkload of the namespace":   elsewhere,
		"a LabWorkload that audits":         workload("lis", auditOnly),
		"a LabWorkload that enforces later": workload("lis", func(s *v1alpha1.LabWorkloadSpec) { s.EnforceAfter = "2027-01-15" }),
		"a LabWorkload whose images audit":  workload("lis", func(s *v1alpha1.LabWorkloadSpec) { s.Images.Enforcement = v1alpha1.EnforcementAudit }),
		"a LabWorkload without images":      workload("lis", func(s *v1alpha1.LabWorkloadSpec) { s.Images = nil }),
		"a LabWorkload that selects others": workload("lis", func(s *v1alpha1.LabWorkloadSpec) { s.Selector.MatchLabels = map[string]string{"app": "other"} }),
		"a LabWorkload with a broken selector": workload("lis", func(s *v1alpha1.LabWorkloadSpec) {
			s.Selector = metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Like"}}}
		}),
	}
	for name, governing := range tests {
		t.Run(name, func(t *testing.T) {
			facts := newImages()
			got := send(t, gateWith(facts, governing), create(t, "Deployment", deployment(staleImage)))
			if !got.allowed || len(got.warnings) > 0 || len(got.annotations) > 0 || len(facts.asked()) > 0 {
				t.Errorf("%+v, asked %v", got, facts.asked())
			}
		})
	}
	t.Run("but suspend leaves the gate as it was", func(t *testing.T) {
		suspended := workload("lis", func(s *v1alpha1.LabWorkloadSpec) { s.Suspend = true })
		if got := send(t, gateWith(newImages(), suspended), create(t, "Deployment", deployment(staleImage))); got.allowed {
			t.Errorf("%+v", got)
		}
	})
	t.Run("but a requirement may enforce on its own", func(t *testing.T) {
		own := workload("lis", auditOnly, func(s *v1alpha1.LabWorkloadSpec) { s.Images.Enforcement = v1alpha1.EnforcementEnforce })
		if got := send(t, gateWith(newImages(), own), create(t, "Deployment", deployment(staleImage))); got.allowed {
			t.Errorf("%+v", got)
		}
	})
}

// F9: governed if the old or the new labels of the template are selected.
func TestALabelThatMovesInTheSameWriteIsNoWayOut(t *testing.T) {
	moved := deployment(staleImage)
	moved.Spec.Template.Labels = map[string]string{"app": "elsewhere"}
	free := deployment(oldImage)
	free.Spec.Template.Labels = map[string]string{"app": "elsewhere"}
	gate := gateWith(newImages(), workload("lis"))
	if got := send(t, gate, update(t, "Deployment", deployment(oldImage), moved)); got.allowed {
		t.Errorf("out: %+v", got)
	}
	if got := send(t, gate, update(t, "Deployment", free, deployment(staleImage))); got.allowed {
		t.Errorf("in: %+v", got)
	}
	if got := send(t, gate, update(t, "Deployment", free, moved)); !got.allowed || len(got.annotations) > 0 {
		t.Errorf("outside before and after: %+v", got)
	}
}

func TestADebugContainerOnlyWarns(t *testing.T) {
	for _, policy := range []*v1alpha1.LabWorkload{workload("lis"), workload("lis", warnOnly)} {
		object := pod(oldImage)
		object.Spec.EphemeralContainers = []corev1.EphemeralContainer{
			{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: staleImage}},
			{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "tools", Image: freshImage}},
		}
		write := update(t, "Pod", pod(oldImage), object)
		write.SubResource = "ephemeralcontainers"
		facts := newImages()
		got := gateWith(facts, policy).Validating().Handle(t.Context(), write)
		if !got.Allowed || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], staleImage) || len(got.Patches) > 0 {
			t.Errorf("%+v", got)
		}
		if asked := facts.asked(); slices.Contains(asked, oldImage) {
			t.Errorf("the containers of the pod are judged: %v", asked)
		}
	}
}

func TestAGeneratedNameIsNotKnownYet(t *testing.T) {
	object := deployment(freshImage)
	object.Name, object.GenerateName = "", "lis-"
	if got := send(t, gateWith(newImages(), workload("lis")), create(t, "Deployment", object)); !got.allowed || got.admissions()[freshImage] != v1alpha1.AdmittedFresh {
		t.Errorf("%+v", got)
	}
	job, _ := kinds["Job"](staleImage).(*batchv1.Job)
	job.Name, job.GenerateName = "", "run-"
	gate := gateWith(newImages(), workload("lis"), record("run-once", "Fresh", staleImage))
	write := create(t, "Job", job)
	mutated := gate.Mutating().Handle(t.Context(), write)
	write.Object.Raw = patched(t, write.Object.Raw, mutated)
	write.Name = "run-x7k2p" // the validating webhook is told
	if got := gate.Validating().Handle(t.Context(), write); !got.Allowed {
		t.Errorf("%+v", got)
	}
	if got := send(t, gateWith(newImages(), workload("lis")), create(t, "Job", job)); got.allowed {
		t.Errorf("%+v", got)
	}
}

func TestTheValidatingWebhookDecides(t *testing.T) {
	t.Run("about an image that somebody else put in after our mutation", func(t *testing.T) {
		gate := gateWith(newImages(), workload("lis"))
		for image, text := range map[string]string{staleImage: "is stale", freshImage: "send it again"} {
			write := create(t, "Deployment", admitted(deployment(image), oldImage))
			got := gate.Validating().Handle(t.Context(), write)
			if got.Allowed || !strings.Contains(got.Result.Message, text) || !strings.Contains(got.Result.Message, image) {
				t.Errorf("%s: allowed %t: %s", image, got.Allowed, got.Result.Message)
			}
		}
	})
	t.Run("without waiting", func(t *testing.T) {
		facts := newImages()
		gateWith(facts, workload("lis")).Validating().Handle(t.Context(), create(t, "Deployment", deployment("lis:1", "lis:2")))
		if facts.resolved > 0 {
			t.Errorf("it was ready to wait %d times", facts.resolved)
		}
	})
	t.Run("and the mutating one refuses nothing and says nothing", func(t *testing.T) {
		got := gateWith(newImages(), workload("lis")).Mutating().Handle(t.Context(), create(t, "Deployment", deployment(staleImage, freshImage)))
		if !got.Allowed || len(got.Patches) > 0 || len(got.Warnings) > 0 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("and takes the word of the mutating one, on another replica, for what it does not know itself", func(t *testing.T) {
		write := create(t, "Deployment", deployment(freshImage))
		mutated := gateWith(newImages(), workload("lis")).Mutating().Handle(t.Context(), write)
		other := gateWith(&images{}, workload("lis"))
		if got := other.Validating().Handle(t.Context(), write); got.Allowed {
			t.Errorf("without the word of the mutating one: %+v", got)
		}
		write.Object.Raw = patched(t, write.Object.Raw, mutated)
		if got := other.Validating().Handle(t.Context(), write); !got.Allowed || len(got.Warnings) > 0 {
			t.Errorf("%+v", got)
		}
		known := &images{facts: map[string]posture.ImageFacts{freshImage: made(200 * 24 * time.Hour)}}
		if got := gateWith(known, workload("lis")).Validating().Handle(t.Context(), write); got.Allowed {
			t.Errorf("it knows the image, and that it is stale: %+v", got)
		}
	})
}

func TestAReinvocationWritesTheSame(t *testing.T) {
	gate := gateWith(newImages(), workload("lis"))
	old := admitted(deployment(oldImage), oldImage)
	write := update(t, "Deployment", old, admitted(deployment(freshImage), oldImage))
	first := gate.Mutating().Handle(t.Context(), write)
	write.Object.Raw = patched(t, write.Object.Raw, first)
	if again := gate.Mutating().Handle(t.Context(), write); !again.Allowed || len(again.Patches) > 0 || len(first.Patches) == 0 {
		t.Errorf("first %v, then %v", first.Patches, again.Patches)
	}
	if got := ledger.References(annotationsOf(t, write.Object.Raw)); !slices.Equal(got, []string{freshImage, oldImage}) {
		t.Errorf("the list is %v: a rollback needs the earlier image", got)
	}
}

func TestTheAnnotationsOfTheUserStay(t *testing.T) {
	object := deployment(freshImage)
	object.Annotations = map[string]string{"team": "pathology"}
	if got := send(t, gateWith(newImages(), workload("lis")), create(t, "Deployment", object)); got.annotations["team"] != "pathology" || !got.allowed {
		t.Errorf("%+v", got)
	}
}

func TestATemplateWithoutImagesIsNoneOfOurBusiness(t *testing.T) {
	write := create(t, "Rollout", nil)
	write.Object.Raw = []byte(`{"metadata":{"name":"lis"},"spec":{"workloadRef":{"name":"lis"},"template":{"metadata":{"labels":{"app":"lis"}}}}}`)
	if got := send(t, gateWith(newImages(), workload("lis")), write); !got.allowed || len(got.annotations) > 0 {
		t.Errorf("%+v", got)
	}
}

func TestATemplateOfAHundredImagesIsLetIn(t *testing.T) {
	facts := newImages()
	var references []string
	for i := range 100 {
		references = append(references, fmt.Sprintf("registry.lab.example/%s/app%03d:1", strings.Repeat("x", 150), i))
		facts.facts[references[i]] = made(time.Hour)
	}
	if got := send(t, gateWith(facts, workload("lis")), create(t, "Deployment", deployment(references...))); !got.allowed || len(got.admissions()) != 100 {
		t.Errorf("allowed %t with %d admissions: %s", got.allowed, len(got.admissions()), got.message)
	}
}

func TestAReferenceWithASpaceIsNeverWritten(t *testing.T) {
	hidden := staleImage + " " + oldImage
	t.Run("refused where an unknown age is", func(t *testing.T) {
		got := send(t, gateWith(newImages(), workload("lis")), create(t, "Deployment", deployment(hidden)))
		if got.allowed || !strings.Contains(got.message, v1alpha1.ReasonInvalidReference) {
			t.Errorf("%+v", got)
		}
	})
	t.Run("warned about where that is only warned about, and not recorded", func(t *testing.T) {
		got := send(t, gateWith(newImages(), workload("lis", warnOnly)), create(t, "Deployment", deployment(hidden, freshImage)))
		if !got.allowed || len(got.warnings) == 0 || !strings.Contains(strings.Join(got.warnings, ""), v1alpha1.ReasonInvalidReference) {
			t.Errorf("%+v", got)
		}
		if diff := cmp.Diff([]string{freshImage}, ledger.References(got.annotations)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]v1alpha1.AdmissionReason{freshImage: v1alpha1.AdmittedFresh}, got.admissions()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestAMutableTagIsWarnedAbout(t *testing.T) {
	facts := newImages()
	facts.facts["registry.lab.example/lis:latest"] = made(time.Hour)
	got := send(t, gateWith(facts, workload("lis")), create(t, "Deployment", deployment("registry.lab.example/lis:latest")))
	if !got.allowed || len(got.warnings) != 1 || !strings.Contains(got.warnings[0], "MutableTag") {
		t.Errorf("%+v", got)
	}
}

// The message of a refusal names everything that a person needs.
func TestTheTextOfARefusal(t *testing.T) {
	object := deployment(staleImage)
	object.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: "migrate", Image: unknownImage}}
	gate := gateWith(newImages(), workload("lis"), record("deployment-lis", "Fresh", oldImage))
	got := send(t, gate, create(t, "Deployment", object))
	want := "labguard: container a: image registry.lab.example/lis:stale (" + digest + ") is stale: made 2026-05-07 (Config), 200 days ago; " +
		"LabWorkload pathology/lis allows 90 days; stale since 2026-08-05. No fresher build exists under its tag: build it anew and push it, or go back to registry.lab.example/lis:old, which is admitted.\n" +
		"labguard: container migrate: image registry.lab.example/lis:unknown has an age that nobody can know (RegistryUnreachable: no route to host); " +
		"LabWorkload pathology/lis allows 90 days. Mend that and try again, or go back to registry.lab.example/lis:old, which is admitted."
	if diff := cmp.Diff(want, got.message); diff != "" || got.allowed {
		t.Errorf("allowed %t (-want +got):\n%s", got.allowed, diff)
	}
}
