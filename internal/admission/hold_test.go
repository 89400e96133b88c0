// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	webhook "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/admission"
	"github.com/labguard/labguard/internal/posture/ledger"
)

func holdOnly(spec *v1alpha1.LabWorkloadSpec) {
	spec.Images.OnStale, spec.Images.OnUnknownAge = v1alpha1.OnStaleHold, v1alpha1.OnStaleHold
}

// sent sends a request through both webhooks, the mutating one twice, as the API server does if another webhook changes the object in between. It gives what
// would be stored.
func sent[T any](t testing.TB, gate *admission.Gate, request webhook.Request) (object T, answer webhook.Response) {
	t.Helper()
	for range 2 {
		mutated := gate.Mutating().Handle(t.Context(), request)
		if !mutated.Allowed {
			t.Fatalf("the mutating webhook refuses: %+v", mutated.Result)
		}
		if len(mutated.Patches) > 0 {
			operations, err := jsonpatch.DecodePatch(encode(t, mutated.Patches))
			if err != nil {
				t.Fatal(err)
			}
			if request.Object.Raw, err = operations.Apply(request.Object.Raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	answer = gate.Validating().Handle(t.Context(), request)
	if err := json.Unmarshal(request.Object.Raw, &object); err != nil {
		t.Fatal(err)
	}
	return object, answer
}

// held is a Deployment in service whose update to a stale image is held.
func held(t testing.TB, gate *admission.Gate) *appsv1.Deployment {
	t.Helper()
	object, answer := sent[appsv1.Deployment](t, gate, update(t, "Deployment", inService(), carrying(deployment(staleImage), inService())))
	if !answer.Allowed || !object.Spec.Paused {
		t.Fatalf("not held: %+v", answer)
	}
	return &object
}

func inService() *appsv1.Deployment {
	object, _ := admitted(deployment(oldImage), oldImage).(*appsv1.Deployment)
	return object
}

// carrying gives an object the marks of another one, as the healing policy does for every user.
func carrying(object, from *appsv1.Deployment) *appsv1.Deployment {
	object.Annotations = from.DeepCopy().Annotations
	return object
}

func TestAStaleImageIsHeldInEachKindThatCanBeHeld(t *testing.T) {
	gate := gateWith(newImages(), workload("lis", holdOnly))
	for kind, held := range map[string]func(raw []byte) bool{
		"Deployment":  func(raw []byte) bool { return strings.Contains(string(raw), `"paused":true`) },
		"Job":         func(raw []byte) bool { return strings.Contains(string(raw), `"suspend":true`) },
		"CronJob":     func(raw []byte) bool { return strings.Contains(string(raw), `"suspend":true`) },
		"StatefulSet": gatedIn("template"), "DaemonSet": gatedIn("template"), "Pod": gatedIn("spec"),
		"ReplicaSet": nil, "ReplicationController": nil, "Rollout": nil,
	} {
		for _, image := range []string{staleImage, unknownImage} {
			t.Run(kind+" "+image, func(t *testing.T) {
				object, answer := sent[json.RawMessage](t, gate, create(t, kind, kinds[kind](image, freshImage)))
				if held == nil {
					if answer.Allowed || !strings.Contains(answer.Result.Message, "refused and not held: there is no way to hold a "+kind) {
						t.Errorf("%+v", answer)
					}
					return
				}
				if !answer.Allowed || !held(object) {
					t.Errorf("allowed %t: %s", answer.Allowed, object)
				}
				if got := strings.Join(answer.Warnings, "\n"); !strings.Contains(got, image) || !strings.Contains(got, "is held") || strings.Contains(got, freshImage) {
					t.Errorf("warnings: %s", got)
				}
				if found := annotationsOf(t, object); found[v1alpha1.HoldAnnotation] == "" || ledger.Carries(found, freshImage) {
					t.Errorf("annotations %v: nothing is recorded while it is held", found)
				}
			})
		}
	}
}

func gatedIn(where string) func([]byte) bool {
	return func(raw []byte) bool {
		before, _, found := strings.Cut(string(raw), `"schedulingGates":[{"name":"labguard.dev/image-age"}]`)
		return found && strings.Contains(before, where)
	}
}

func TestWhatIsFreshOrAdmittedIsNotHeld(t *testing.T) {
	gate := gateWith(newImages(), workload("lis", holdOnly), record("deployment-other", v1alpha1.AdmittedFresh, staleImage))
	for _, images := range [][]string{{freshImage}, {staleImage}, {staleImage, freshImage}} {
		object, answer := sent[appsv1.Deployment](t, gate, create(t, "Deployment", deployment(images...)))
		if !answer.Allowed || object.Spec.Paused || !ledger.Carries(object.Annotations, images[0]) {
			t.Errorf("%v: allowed %t, paused %t, %v", images, answer.Allowed, object.Spec.Paused, object.Annotations)
		}
	}
}

func TestDenyOfOneLabWorkloadOutweighsHoldOfAnother(t *testing.T) {
	gate := gateWith(newImages(), workload("lis", holdOnly), workload("strict"))
	object, answer := sent[appsv1.Deployment](t, gate, create(t, "Deployment", deployment(staleImage)))
	if answer.Allowed || object.Spec.Paused || len(answer.Warnings) > 0 {
		t.Errorf("allowed %t, paused %t, warnings %q", answer.Allowed, object.Spec.Paused, answer.Warnings)
	}
}

func TestNobodyButLabguardReleases(t *testing.T) {
	facts := newImages()
	gate := gateWith(facts, workload("lis", holdOnly))
	before := held(t, gate)
	for name, change := range map[string]func(*appsv1.Deployment){
		"resumes":              func(d *appsv1.Deployment) { d.Spec.Paused = false },
		"resumes and unmarks":  func(d *appsv1.Deployment) { d.Spec.Paused = false; delete(d.Annotations, v1alpha1.HoldAnnotation) },
		"changes the settings": func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Args = []string{"-v"} },
		"brings a fresh image": func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Image = freshImage
			d.Spec.Paused = false
		},
		"reverts the image": func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = oldImage; d.Spec.Paused = false },
		"brings an unknown one": func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Image = unknownImage
			d.Spec.Paused = false
		},
	} {
		t.Run("a tenant "+name, func(t *testing.T) {
			next := before.DeepCopy()
			change(next)
			after, answer := sent[appsv1.Deployment](t, gate, update(t, "Deployment", before, next))
			if !answer.Allowed || !after.Spec.Paused || after.Annotations[v1alpha1.HoldAnnotation] == "" || len(answer.Warnings) == 0 {
				t.Errorf("allowed %t, paused %t, marks %v, warnings %q", answer.Allowed, after.Spec.Paused, after.Annotations, answer.Warnings)
			}
			if ledger.Carries(after.Annotations, staleImage) {
				t.Error("the held image counts as admitted")
			}
		})
	}
}

// release is labguard's own write: it takes the marker off.
func release(t testing.TB, before *appsv1.Deployment) webhook.Request {
	t.Helper()
	next := before.DeepCopy()
	delete(next.Annotations, v1alpha1.HoldAnnotation)
	request := update(t, "Deployment", before, next)
	request.UserInfo.Username = labguard
	return request
}

func TestLabguardReleasesWhatIsFine(t *testing.T) {
	facts := newImages()
	objects := []client.Object{workload("lis", holdOnly)}
	before := held(t, gateWith(facts, objects...))
	before.Spec.Paused = true

	put, answer := sent[appsv1.Deployment](t, gateWith(facts, objects...), release(t, before))
	if !answer.Allowed || !put.Spec.Paused || put.Annotations[v1alpha1.HoldAnnotation] == "" {
		t.Errorf("the image is stale still, and the hold is not put back: paused %t, %v", put.Spec.Paused, put.Annotations)
	}
	facts.facts[staleImage] = made(time.Hour) // pushed anew under the same tag
	for name, gate := range map[string]*admission.Gate{
		"a fresh build under the same tag": gateWith(facts, objects...),
		"no LabWorkload any more":          gateWith(newImages()),
		"back to Audit":                    gateWith(newImages(), workload("lis", holdOnly, auditOnly)),
		"a warning is enough":              gateWith(newImages(), workload("lis", warnOnly)),
	} {
		t.Run(name, func(t *testing.T) {
			after, answer := sent[appsv1.Deployment](t, gate, release(t, before))
			if _, marked := after.Annotations[v1alpha1.HoldAnnotation]; !answer.Allowed || after.Spec.Paused || marked {
				t.Errorf("allowed %t, paused %t, %v", answer.Allowed, after.Spec.Paused, after.Annotations)
			}
			governed := name == "a fresh build under the same tag" || name == "a warning is enough"
			if ledger.Carries(after.Annotations, staleImage) != governed {
				t.Errorf("what it declares is recorded: %v", after.Annotations)
			}
		})
	}
}

func TestAHeldObjectDoesNotRunWhatItDeclares(t *testing.T) {
	before := held(t, gateWith(newImages(), workload("lis", holdOnly)))
	next := before.DeepCopy()
	next.Spec.Template.Spec.Containers[0].Args = []string{"-v"}
	_, answer := sent[appsv1.Deployment](t, gateWith(newImages(), workload("lis")), update(t, "Deployment", before, next))
	if answer.Allowed || !strings.Contains(answer.Result.Message, "is stale") {
		t.Errorf("under Deny the image of a held template is let in as what runs: %+v", answer)
	}
}

func TestWhatLetsAHeldObjectRollOutIsRefused(t *testing.T) {
	gate := gateWith(newImages(), workload("lis", holdOnly))
	sts := func(image, strategy string) *appsv1.StatefulSet {
		object, _ := kinds["StatefulSet"](image).(*appsv1.StatefulSet)
		object.Spec.UpdateStrategy.Type = appsv1.StatefulSetUpdateStrategyType(strategy)
		return object
	}
	old, _ := admitted(sts(oldImage, "RollingUpdate"), oldImage).(*appsv1.StatefulSet)
	next := sts(staleImage, "RollingUpdate")
	next.Annotations = old.Annotations
	before, answer := sent[appsv1.StatefulSet](t, gate, update(t, "StatefulSet", old, next))
	if rolling := before.Spec.UpdateStrategy.RollingUpdate; !answer.Allowed || rolling == nil || *rolling.Partition != 2147483647 {
		t.Fatalf("not held: %+v", answer)
	}
	opened := before.DeepCopy()
	opened.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
	for image, want := range map[string]string{staleImage: "OnDelete", freshImage: "would let it roll out"} {
		opened.Spec.Template.Spec.Containers[0].Image = image
		if _, answer := sent[appsv1.StatefulSet](t, gate, update(t, "StatefulSet", &before, opened)); answer.Allowed || !strings.Contains(answer.Result.Message, want) {
			t.Errorf("%s: %+v", image, answer)
		}
	}
}

func TestAnObjectThatSomebodyOpensAfterOurMutationIsRefused(t *testing.T) {
	gate := gateWith(newImages(), workload("lis", holdOnly))
	for name, object := range map[string]runtime.Object{"Deployment": deployment(staleImage), "Pod": pod(staleImage)} {
		got := gate.Validating().Handle(t.Context(), create(t, name, object))
		if got.Allowed || !strings.Contains(got.Result.Message, "send it again") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestExceptionsAreRefusedAndNotHeld(t *testing.T) {
	gate := gateWith(newImages(), workload("lis", holdOnly))
	hook, _ := kinds["Job"](staleImage).(*batchv1.Job)
	hook.Annotations = map[string]string{"helm.sh/hook": "pre-upgrade"}
	onNode := pod(staleImage)
	onNode.Spec.NodeName = "node-1"
	daemons, _ := kinds["DaemonSet"](staleImage).(*appsv1.DaemonSet)
	for name, test := range map[string]struct {
		request webhook.Request
		want    string
	}{
		"a hook":                 {create(t, "Job", hook), "would wait for its time-out"},
		"a pod with a node":      {create(t, "Pod", onNode), "nodeName"},
		"a CronJob in service":   {update(t, "CronJob", kinds["CronJob"](oldImage), kinds["CronJob"](staleImage)), "in service"},
		"a DaemonSet in service": {update(t, "DaemonSet", kinds["DaemonSet"](oldImage), daemons), "in service"},
		"another image of a pod": {update(t, "Pod", pod(oldImage), pod(staleImage)), "started"},
	} {
		t.Run(name, func(t *testing.T) {
			_, answer := sent[json.RawMessage](t, gate, test.request)
			if answer.Allowed || !strings.Contains(answer.Result.Message, test.want) {
				t.Errorf("%+v", answer)
			}
		})
	}
}

func TestADebugContainerIsWarnedAboutUnderHold(t *testing.T) {
	debugged := pod(oldImage)
	debugged.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: staleImage}}}
	request := update(t, "Pod", pod(oldImage), debugged)
	request.SubResource = "ephemeralcontainers"
	got := gateWith(newImages(), workload("lis", holdOnly)).Validating().Handle(t.Context(), request)
	if !got.Allowed || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], staleImage) {
		t.Errorf("%+v", got)
	}
}

func TestANewPodOfAHeldWorkloadKeepsItsOwnGates(t *testing.T) {
	object := pod(staleImage)
	object.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "quota.example/wait"}}
	got, _ := sent[corev1.Pod](t, gateWith(newImages(), workload("lis", holdOnly)), create(t, "Pod", object))
	want := []corev1.PodSchedulingGate{{Name: "quota.example/wait"}, {Name: v1alpha1.SchedulingGate}}
	if diff := cmp.Diff(want, got.Spec.SchedulingGates); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
