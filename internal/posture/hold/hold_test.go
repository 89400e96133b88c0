// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package hold_test

import (
	"encoding/json"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/hold"
)

// read decodes an object whose spec is given; metadata may follow after a |.
func read(t testing.TB, kind, spec string) *hold.Object {
	t.Helper()
	spec, metadata, _ := strings.Cut(spec, "|")
	if metadata == "" {
		metadata = "{}"
	}
	object, err := hold.Read(kind, []byte(`{"kind":"`+kind+`","metadata":`+metadata+`,"spec":`+spec+`}`))
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// object is what counts of an object in these tests.
type object struct {
	Metadata struct {
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec json.RawMessage `json:"spec"`
}

func content(t testing.TB, o *hold.Object) object {
	t.Helper()
	raw, err := o.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var found object
	if err := json.Unmarshal(raw, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

func (o object) marker() string { return o.Metadata.Annotations[v1alpha1.HoldAnnotation] }

const (
	rolling = `"updateStrategy":{"rollingUpdate":{"partition":`
	gate    = `{"name":"labguard.dev/image-age"}`
	// held and open are the template of a StatefulSet that is held, and what its marker says of it.
	held = `"template":{"spec":{"schedulingGates":[` + gate + `]}},`
	open = `"template":{"spec":{"schedulingGates":null}},`
)

func TestAHoldReplacesOneFieldAndTheMarkerSaysWhatWasThere(t *testing.T) {
	for name, test := range map[string]struct{ kind, old, spec, held, marker string }{
		"a Deployment":                      {"Deployment", `{}`, `{"replicas":5}`, `{"paused":true,"replicas":5}`, `{"paused":null}`},
		"a Deployment that says false":      {"Deployment", `{}`, `{"paused":false}`, `{"paused":true}`, `{"paused":false}`},
		"a Deployment that its user paused": {"Deployment", `{"paused":true}`, `{"paused":true}`, `{"paused":true}`, `{"paused":true}`},
		"a new Deployment":                  {"Deployment", "", `{}`, `{"paused":true}`, `{"paused":null}`},
		"a new Job":                         {"Job", "", `{"suspend":false}`, `{"suspend":true}`, `{"suspend":false}`},
		"a new CronJob":                     {"CronJob", "", `{}`, `{"suspend":true}`, `{"suspend":null}`},
		"a StatefulSet": {
			"StatefulSet", `{}`, `{` + rolling + `0}}}`, `{` + held + rolling + `2147483647}}}`, `{` + open + rolling + `0}}}`,
		},
		"a StatefulSet with a canary": {
			"StatefulSet", `{}`, `{` + rolling + `2}}}`, `{` + held + rolling + `2147483647}}}`, `{` + open + rolling + `2}}}`,
		},
		"a StatefulSet without a strategy": {
			"StatefulSet", `{}`, `{}`, `{` + held + rolling + `2147483647}}}`, `{` + open + rolling + `null}}}`,
		},
		"a new StatefulSet": {
			"StatefulSet", "", `{"template":{"spec":{}}}`, `{` + held + rolling + `2147483647}}}`, `{` + open + rolling + `null}}}`,
		},
		"a new DaemonSet with a gate of its own": {
			"DaemonSet", "", `{"template":{"spec":{"schedulingGates":[{"name":"a"}]}}}`, `{"template":{"spec":{"schedulingGates":[{"name":"a"},` + gate + `]}}}`,
			`{"template":{"spec":{"schedulingGates":[{"name":"a"}]}}}`,
		},
		"a new pod": {"Pod", "", `{}`, `{"schedulingGates":[` + gate + `]}`, `{"schedulingGates":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			var old *hold.Object
			if test.old != "" {
				old = read(t, test.kind, test.old)
			}
			o := read(t, test.kind, test.spec)
			if problem := hold.Cannot(old, o); problem != "" {
				t.Fatal(problem)
			}
			if err := hold.Put(old, o); err != nil {
				t.Fatal(err)
			}
			got := content(t, o)
			if diff := cmp.Diff(test.held, string(got.Spec)); diff != "" || !o.Held() || !o.Marked() {
				t.Errorf("held %t, marked %t (-want +got):\n%s", o.Held(), o.Marked(), diff)
			}
			if diff := cmp.Diff(test.marker, got.marker()); diff != "" {
				t.Errorf("marker (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatCannotBeHeldSaysWhy(t *testing.T) {
	marked := `|{"annotations":{"labguard.dev/hold":"{\"template\":{\"spec\":{\"schedulingGates\":null}},\"updateStrategy\":{\"rollingUpdate\":{\"partition\":0}}}"}}`
	for name, test := range map[string]struct{ kind, old, spec, want string }{
		"an update of a CronJob":              {"CronJob", `{}`, `{}`, "in service"},
		"an update of a DaemonSet":            {"DaemonSet", `{}`, `{}`, "in service"},
		"an update of a Job":                  {"Job", `{}`, `{}`, "started"},
		"another image of a pod":              {"Pod", `{}`, `{}`, "started"},
		"a pod with a node":                   {"Pod", "", `{"nodeName":"a"}`, "nodeName"},
		"the mirror of a static pod":          {"Pod", "", `{}|{"annotations":{"kubernetes.io/config.mirror":"x"}}`, "mirror"},
		"a hook of Helm":                      {"Job", "", `{}|{"annotations":{"helm.sh/hook":"pre-upgrade"}}`, "helm.sh/hook"},
		"a hook of Argo CD":                   {"Job", "", `{}|{"annotations":{"argocd.argoproj.io/hook":"PreSync"}}`, "argocd.argoproj.io/hook"},
		"a ReplicaSet":                        {"ReplicaSet", "", `{}`, "hold a ReplicaSet"},
		"a Rollout of Argo":                   {"Rollout", `{}`, `{}`, "hold a Rollout"},
		"a StatefulSet with OnDelete":         {"StatefulSet", `{}`, `{"updateStrategy":{"type":"OnDelete"}}`, "OnDelete"},
		"a new StatefulSet with OnDelete":     {"StatefulSet", "", `{"updateStrategy":{"type":"OnDelete"}}`, "OnDelete"},
		"a held StatefulSet made OnDelete":    {"StatefulSet", `{}` + marked, `{"updateStrategy":{"type":"OnDelete"}}` + marked, "OnDelete"},
		"a StatefulSet whose status lags":     {"StatefulSet", `{}|{"generation":3}`, `{}`, "has not finished"},
		"a marker of a field of another kind": {"CronJob", `{}|{"annotations":{"labguard.dev/hold":"{\"paused\":null}"}}`, `{}`, "in service"},
	} {
		t.Run(name, func(t *testing.T) {
			var old *hold.Object
			if test.old != "" {
				old = read(t, test.kind, test.old)
			}
			o := read(t, test.kind, test.spec)
			before := content(t, o)
			if got := hold.Cannot(old, o); !strings.Contains(got, test.want) || got == "" {
				t.Errorf("got %q, want %q in it", got, test.want)
			}
			if err := hold.Put(old, o); err == nil {
				t.Error("it was held all the same")
			}
			if diff := cmp.Diff(before, content(t, o)); diff != "" {
				t.Errorf("it was changed:\n%s", diff)
			}
		})
	}
}

func TestAStatefulSetInTheMiddleOfARolloutIsNotHeld(t *testing.T) {
	of := func(status string) *hold.Object {
		object, err := hold.Read("StatefulSet", []byte(`{"metadata":{"generation":4},"spec":{},"status":`+status+`}`))
		if err != nil {
			t.Fatal(err)
		}
		return object
	}
	if got := hold.Cannot(of(`{"observedGeneration":4,"currentRevision":"a","updateRevision":"a"}`), read(t, "StatefulSet", `{}`)); got != "" {
		t.Errorf("it rests: %s", got)
	}
	for _, status := range []string{`{"observedGeneration":3,"currentRevision":"a","updateRevision":"a"}`, `{"observedGeneration":4,"currentRevision":"a","updateRevision":"b"}`, `{}`} {
		if got := hold.Cannot(of(status), read(t, "StatefulSet", `{}`)); !strings.Contains(got, "has not finished") {
			t.Errorf("%s: %q", status, got)
		}
	}
}

// The rows of what was tried on a real API server: who writes what to a held object, and what comes back in the end.
func TestWhatOthersWriteWhileAnObjectIsHeldComesBack(t *testing.T) {
	for name, test := range map[string]struct {
		kind, first string
		// writes are merge patches of the spec, one after the other.
		writes []string
		want   string
	}{
		"nobody writes":                          {"Deployment", `{}`, nil, `{}`},
		"somebody resumes it":                    {"Deployment", `{}`, []string{`{"paused":false}`}, `{"paused":false}`},
		"somebody replaces it without the field": {"Deployment", `{}`, []string{`{"paused":null}`}, `{}`},
		"every patch carries the hold along":     {"Deployment", `{"paused":false}`, []string{`{"replicas":3}`, `{"replicas":4}`}, `{"paused":false,"replicas":4}`},
		"Git declares a partition and goes on":   {"StatefulSet", `{` + rolling + `2}}}`, []string{`{"replicas":7}`, `{` + rolling + `2}}}`}, `{"replicas":7,"template":{"spec":{}},` + rolling + `2}}}`},
		"another manager forces 0, Git 2 again":  {"StatefulSet", `{` + rolling + `2}}}`, []string{`{` + rolling + `0}}}`, `{` + rolling + `2}}}`}, `{"template":{"spec":{}},` + rolling + `2}}}`},
		"Git drops the partition":                {"StatefulSet", `{` + rolling + `2}}}`, []string{`{"updateStrategy":{"rollingUpdate":null}}`}, `{"template":{"spec":{}},"updateStrategy":{"rollingUpdate":{}}}`},
		"somebody sets another partition":        {"StatefulSet", `{` + rolling + `0}}}`, []string{`{` + rolling + `1}}}`}, `{"template":{"spec":{}},` + rolling + `1}}}`},
		"a Job is resumed and suspended":         {"Job", `{}`, []string{`{"suspend":false}`, `{"suspend":true}`}, `{"suspend":false}`},
		"gates come and go on a new DaemonSet": {
			"DaemonSet", `{"template":{"spec":{}}}`, []string{`{"template":{"spec":{"schedulingGates":[{"name":"b"}]}}}`}, `{"template":{"spec":{"schedulingGates":[{"name":"b"}]}}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			held := read(t, test.kind, test.first)
			if err := hold.Put(oldFor(t, test.kind), held); err != nil {
				t.Fatal(err)
			}
			for _, write := range test.writes {
				next := written(t, held, `{"spec":`+write+`}`)
				for range 2 { // the webhook is called again if another one changes the object
					if err := hold.Put(held, next); err != nil {
						t.Fatal(err)
					}
				}
				if !next.Held() {
					t.Fatalf("not held after %s", write)
				}
				held = next
			}
			released := written(t, held, `{"metadata":{"annotations":{"labguard.dev/hold":null}}}`)
			if hold.GivenBack(held, released) && held.Held() && test.want != string(content(t, released).Spec) {
				t.Errorf("the bare write counts as given back")
			}
			hold.Release(held, released)
			if !hold.GivenBack(held, released) || released.Marked() {
				t.Error("not given back")
			}
			if diff := cmp.Diff(test.want, string(content(t, released).Spec)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			undone := written(t, held, encode(t, hold.Undo(held)))
			if diff := cmp.Diff(withoutEmpty(t, released), withoutEmpty(t, undone)); diff != "" {
				t.Errorf("undone without a webhook it is another object (-release +undo):\n%s", diff)
			}
		})
	}
}

// oldFor is what was there before the hold: objects that are gated in their template are held when they are created.
func oldFor(t testing.TB, kind string) *hold.Object {
	if kind == "Deployment" || kind == "StatefulSet" {
		return read(t, kind, `{}`)
	}
	return nil
}

// written is an object after a merge patch.
func written(t testing.TB, o *hold.Object, patch string) *hold.Object {
	t.Helper()
	raw, err := o.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if raw, err = jsonpatch.MergePatch(raw, []byte(patch)); err != nil {
		t.Fatal(err)
	}
	var kind struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		t.Fatal(err)
	}
	next, err := hold.Read(kind.Kind, raw)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func encode(t testing.TB, value any) string {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

// withoutEmpty is a spec as a merge patch would leave it: without fields that are null.
func withoutEmpty(t testing.TB, o *hold.Object) string {
	t.Helper()
	return string(content(t, written(t, o, `{}`)).Spec)
}

func TestAUsersOwnChoiceIsNotUndone(t *testing.T) {
	held := read(t, "Deployment", `{"paused":true}`) // paused by its user before
	if err := hold.Put(read(t, "Deployment", `{"paused":true}`), held); err != nil {
		t.Fatal(err)
	}
	resumed := written(t, held, `{"spec":{"paused":false}}`) // where no webhook listened
	if diff := cmp.Diff(`{"metadata":{"annotations":{"labguard.dev/hold":null}}}`, encode(t, hold.Undo(resumed))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if resumed.Held() || !resumed.Marked() {
		t.Errorf("held %t, marked %t", resumed.Held(), resumed.Marked())
	}
}

func TestTheAnswerToAReleaseSaysWhetherAWebhookListened(t *testing.T) {
	held := read(t, "Deployment", `{}`)
	if err := hold.Put(read(t, "Deployment", `{}`), held); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		answer string
		want   bool
	}{
		"nobody listened":          {`{"metadata":{"annotations":{"labguard.dev/hold":null}}}`, false},
		"it was given back":        {`{"metadata":{"annotations":{"labguard.dev/hold":null}},"spec":{"paused":null}}`, true},
		"the hold was put back":    {`{}`, false},
		"marked but given back":    {`{"spec":{"paused":false}}`, false},
		"another value was chosen": {`{"metadata":{"annotations":{"labguard.dev/hold":null}},"spec":{"paused":false}}`, true},
	} {
		if got := hold.GivenBack(held, written(t, held, test.answer)); got != test.want {
			t.Errorf("%s: given back %t", name, got)
		}
	}
	if !hold.GivenBack(read(t, "Deployment", `{}`), held) {
		t.Error("an object that was not held has nothing to be given back")
	}
}

func TestOnlyAnObjectIsAMarker(t *testing.T) {
	for marker, want := range map[string]bool{`{"paused":null}`: true, posture.CanaryMark("x"): false, "": false, "true": false} {
		if got := hold.Marked(map[string]string{v1alpha1.HoldAnnotation: marker}); got != want {
			t.Errorf("%q: %t", marker, got)
		}
	}
	broken := read(t, "Deployment", `{"paused":true}|{"annotations":{"labguard.dev/hold":"{"}}`)
	if broken.Held() {
		t.Error("a marker that cannot be read holds nothing")
	}
	hold.Release(broken, broken)
	if diff := cmp.Diff(`{"paused":true}`, string(content(t, broken).Spec)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var none *hold.Object
	if none.Marked() || none.Held() {
		t.Error("an object that does not exist is held")
	}
	if !hold.Gated([]corev1.PodSchedulingGate{{Name: "a"}, {Name: v1alpha1.SchedulingGate}}) || hold.Gated([]corev1.PodSchedulingGate{{Name: "a"}}) {
		t.Error("gates")
	}
}

func TestObjectsThatAreNone(t *testing.T) {
	for _, raw := range []string{"", "null", "[]", "1", `{"metadata":1`} {
		if _, err := hold.Read("Deployment", []byte(raw)); err == nil {
			t.Errorf("%q is read", raw)
		}
	}
	odd := hold.Of(&unstructured.Unstructured{Object: map[string]any{"kind": "Deployment", "spec": 1, "metadata": map[string]any{"annotations": 1, "generation": "x"}, "status": 3}})
	if odd.Marked() || hold.Cannot(nil, odd) != "" || hold.Put(nil, odd) == nil {
		t.Error("wrong types")
	}
	if err := odd.Annotate(map[string]string{"a": "b"}); err == nil {
		t.Error("an annotation was written into a number")
	}
}

func FuzzAMarkerNeverBreaksAnything(f *testing.F) {
	f.Add("Deployment", `{"paused":null}`, `{"paused":true}`)
	f.Add("StatefulSet", `{"updateStrategy":[]}`, `{"updateStrategy":{"rollingUpdate":{"partition":2147483647}}}`)
	f.Add("DaemonSet", `{"template":{"spec":{"schedulingGates":{}}}}`, `{"template":{"spec":{"schedulingGates":[1,{"name":3}]}}}`)
	f.Fuzz(func(t *testing.T, kind, marker, spec string) {
		object := map[string]any{"kind": kind, "metadata": map[string]any{"annotations": map[string]string{v1alpha1.HoldAnnotation: marker}}, "spec": json.RawMessage(spec)}
		raw, err := json.Marshal(object)
		if err != nil {
			return
		}
		old, err := hold.Read(kind, raw)
		if err != nil {
			return
		}
		next, err := hold.Read(kind, raw)
		if err != nil {
			t.Fatal(err)
		}
		if hold.Cannot(old, next) == "" && hold.Put(old, next) == nil && !next.Held() {
			t.Errorf("put, and not held: %s", encode(t, content(t, next)))
		}
		hold.Release(next, next)
		_ = hold.Undo(old)
	})
}
