// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

const (
	lis     = "registry.example/lis:1"
	lisRepo = "registry.example/lis"
	mirror  = "mirror.example/copy"
	gateway = "registry.example/gateway"
	bridge  = "registry.example/bridge"
)

// answer is what a test looks at of one image of a status.
type answer struct{ Answer, Reason, Digest, Fresher string }

func answersOf(status *v1alpha1.LabWorkloadStatus) []answer {
	var answers []answer
	for _, image := range status.Images {
		answers = append(answers, answer{image.Answer, image.Reason, image.Digest, image.Fresher})
	}
	return answers
}

func TestWhatANodeReportsIsLookedForWhereItMayBe(t *testing.T) {
	indexed := build("1a", 10*day)
	indexed.ChildDigest = digest("c1")
	config := digest("cf")
	declared := build("1a", 10*day)
	declared.ConfigDigest = config
	for name, test := range map[string]struct {
		imageID string
		images  map[string]posture.ImageFacts
		configs map[string]posture.ImageFacts
		want    answer
	}{
		"in the repository that the pod names": {
			imageID: lisRepo + "@" + digest("1a"), images: map[string]posture.ImageFacts{lisRepo + "@" + digest("1a"): build("1a", 10*day), lis: build("1a", 10*day)},
			want: answer{posture.ImageFresh, v1alpha1.ReasonImageFresh, digest("1a"), ""},
		},
		"there also if the node knows it by another name": {
			imageID: mirror + "@" + digest("1a"), images: map[string]posture.ImageFacts{lisRepo + "@" + digest("1a"): build("1a", 10*day), lis: build("1a", 10*day)},
			want: answer{posture.ImageFresh, v1alpha1.ReasonImageFresh, digest("1a"), ""},
		},
		"then in the one that the node names": {
			imageID: mirror + "@" + digest("2b"),
			images:  map[string]posture.ImageFacts{lisRepo + "@" + digest("2b"): absent(), mirror + "@" + digest("2b"): build("2b", 10*day), lis: build("2b", 10*day)},
			want:    answer{posture.ImageFresh, v1alpha1.ReasonImageFresh, digest("2b"), ""},
		},
		"and what neither has is in no registry": {
			imageID: mirror + "@" + digest("2b"),
			images:  map[string]posture.ImageFacts{lisRepo + "@" + digest("2b"): absent(), mirror + "@" + digest("2b"): absent(), lis: build("1a", 10*day)},
			want:    answer{posture.ImageUnknown, v1alpha1.ReasonNotInRegistry, digest("2b"), ""},
		},
		"a registry that is silent is not one that has nothing": {
			imageID: mirror + "@" + digest("2b"),
			images: map[string]posture.ImageFacts{
				lisRepo + "@" + digest("2b"): absent(), mirror + "@" + digest("2b"): {Unknown: v1alpha1.ReasonRegistryUnreachable}, lis: build("1a", 10*day),
			},
			want: answer{posture.ImageUnknown, v1alpha1.ReasonRegistryUnreachable, digest("2b"), ""},
		},
		"nor is one that wants credentials": {
			imageID: mirror + "@" + digest("2b"), images: map[string]posture.ImageFacts{lisRepo + "@" + digest("2b"): {Unknown: v1alpha1.ReasonCredentialsNotReadable}, lis: build("1a", 10*day)},
			want: answer{posture.ImageUnknown, v1alpha1.ReasonCredentialsNotReadable, digest("2b"), ""},
		},
		"a bare digest of a manifest is in the repository": {
			imageID: digest("1a"), images: map[string]posture.ImageFacts{lisRepo + "@" + digest("1a"): build("1a", 10*day), lis: build("1a", 10*day)},
			want: answer{posture.ImageFresh, v1alpha1.ReasonImageFresh, digest("1a"), ""},
		},
		"a bare digest of a configuration that is recorded is that image": {
			imageID: config, configs: map[string]posture.ImageFacts{config: declared}, images: map[string]posture.ImageFacts{lis: declared},
			want: answer{posture.ImageFresh, v1alpha1.ReasonImageFresh, config, ""},
		},
		"a bare digest of the declared image's configuration is that image": {
			imageID: "docker://" + config, images: map[string]posture.ImageFacts{lisRepo + "@" + config: absent(), lis: declared},
			want: answer{posture.ImageFresh, v1alpha1.ReasonImageFresh, config, ""},
		},
		"a bare digest that nobody knows was loaded by hand": {
			imageID: digest("dd"), images: map[string]posture.ImageFacts{lisRepo + "@" + digest("dd"): absent(), lis: declared},
			want: answer{posture.ImageUnknown, v1alpha1.ReasonNotInRegistry, digest("dd"), ""},
		},
		"one image of an index is no other than the index": {
			imageID: lisRepo + "@" + digest("c1"), images: map[string]posture.ImageFacts{lisRepo + "@" + digest("c1"): build("c1", 10*day), lis: indexed},
			want: answer{posture.ImageFresh, v1alpha1.ReasonImageFresh, digest("c1"), ""},
		},
		"a tag that has moved is said to have": {
			imageID: lisRepo + "@" + digest("1a"), images: map[string]posture.ImageFacts{lisRepo + "@" + digest("1a"): build("1a", 10*day), lis: build("2b", 5*day)},
			want: answer{posture.ImageFresh, v1alpha1.ReasonRunsOtherDigest, digest("1a"), digest("2b")},
		},
		"a tag that nobody knows has not": {
			imageID: lisRepo + "@" + digest("1a"), images: map[string]posture.ImageFacts{lisRepo + "@" + digest("1a"): build("1a", 10*day), lis: absent()},
			want: answer{posture.ImageFresh, v1alpha1.ReasonImageFresh, digest("1a"), ""},
		},
		"a stale image may have a fresher build": {
			imageID: lisRepo + "@" + digest("1a"), images: map[string]posture.ImageFacts{lisRepo + "@" + digest("1a"): build("1a", 100*day), lis: build("2b", 5*day)},
			want: answer{posture.ImageStale, v1alpha1.ReasonImageStale, digest("1a"), digest("2b")},
		},
		"or none": {
			imageID: lisRepo + "@" + digest("1a"), images: map[string]posture.ImageFacts{lisRepo + "@" + digest("1a"): build("1a", 100*day), lis: build("1a", 100*day)},
			want: answer{posture.ImageStale, v1alpha1.ReasonImageStale, digest("1a"), posture.FresherNone},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, s := reconcilerWith(&library{images: test.images, configs: test.configs}), scopeOf(t, pod("lis", lis, test.imageID, "arm"))
			if diff := cmp.Diff([]answer{test.want}, answersOf(statusOf(r, s))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnImageThatWasFoundElsewhereIsNotAskedForAgain(t *testing.T) {
	images := map[string]posture.ImageFacts{lisRepo + "@" + digest("2b"): absent(), mirror + "@" + digest("2b"): build("2b", 10*day), lis: build("2b", 10*day)}
	r, s := reconcilerWith(&library{images: images}), scopeOf(t, pod("lis", lis, mirror+"@"+digest("2b"), "arm"))
	status := statusOf(r, s)
	if next := r.nextLook(s, status); !next.Equal(status.NextChangeAt.Time) {
		t.Errorf("looks again at %s, want at the next change at %s", next, status.NextChangeAt)
	}
}

func TestATagIsLookedUpWhereItMatters(t *testing.T) {
	pinned := "registry.example/lis:1@" + digest("1a")
	bare := lisRepo + "@" + digest("1a")
	for name, test := range map[string]struct {
		reference string
		age       time.Duration
		tag       string
		want      string
	}{
		"for a stale image that is pinned behind its tag": {pinned, 100 * day, lis, digest("2b")},
		"for one that is soon stale":                      {pinned, 80 * day, lis, digest("2b")},
		"for one that is too young":                       {pinned, time.Hour, lis, posture.FresherNone},
		"not for a fresh one that is pinned":              {pinned, 10 * day, "", ""},
		"not for one without a tag":                       {bare, 100 * day, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			facts := &library{images: map[string]posture.ImageFacts{bare: build("1a", test.age), pinned: build("1a", test.age), lis: build("2b", 5*day)}}
			r, s := reconcilerWith(facts), scopeOf(t, pod("lis", test.reference, bare, "arm"))
			status := statusOf(r, s)
			if got := status.Images[0].Fresher; got != test.want {
				t.Errorf("fresher is %q, want %q", got, test.want)
			}
			if asked := facts.asked[lis] > 0; asked != (test.tag != "") || facts.asked[lisRepo] > 0 {
				t.Errorf("asked for %v", facts.asked)
			}
			wants := test.tag != ""
			if next := r.nextLook(s, status); wants != next.Equal(today.Add(lookForFresherAfter)) {
				t.Errorf("looks again at %s", next)
			}
		})
	}
}

// An exemption says nothing of an age: once it is gone, the age is asked for.
func TestAnImageThatWasExemptIsNotRememberedAsAnAge(t *testing.T) {
	s := scopeOf(t, deployment("lis", lis))
	s.workload.Status.Images = []v1alpha1.ImageStatus{{Reference: lis, Answer: posture.ImageExempt, Reason: "Exempt"}}
	if diff := cmp.Diff([]answer{{posture.ImageUnknown, v1alpha1.ReasonNotResolved, "", ""}}, answersOf(statusOf(reconcilerWith(&library{}), s))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// index is one of several indexes around the same image.
func index(name string, age time.Duration) posture.ImageFacts {
	facts := build(name, age)
	facts.ChildDigest, facts.ConfigDigest = digest("c1"), "sha256:config-c1"
	return facts
}

// A moment after a restart nothing is known: the report stays as it was, fresher builds and moved tags included.
func TestARestartIsNoNews(t *testing.T) {
	since := today.Add(-500 * day)
	old := build("1a", 100*day)
	old.SameContentSince = since
	before := map[string]posture.ImageFacts{
		lisRepo + "@" + digest("1a"): old, lis: build("2b", 5*day),
		lisRepo + "@" + digest("3c"): build("3c", 10*day),
		lisRepo + "@" + digest("4d"): absent(), mirror + "@" + digest("4d"): absent(),
		gateway + "@" + digest("5e"): index("5e", 20*day), gateway + ":1": index("6f", 20*day),
		bridge + "@" + digest("cf"): absent(), bridge + ":1": {Digest: digest("7a"), ConfigDigest: digest("cf"), ConfigCreated: today.Add(-30 * day).Truncate(time.Second)},
	}
	objects := []client.Object{
		pod("stale", lis, lisRepo+"@"+digest("1a"), "arm"), pod("moved", lis, lisRepo+"@"+digest("3c"), "arm"), pod("loaded", lis, mirror+"@"+digest("4d"), "arm"),
		pod("same", gateway+":1", gateway+"@"+digest("5e"), "arm"), pod("by-configuration", bridge+":1", digest("cf"), "arm"),
	}
	s := scopeOf(t, objects...)
	want := statusOf(reconcilerWith(&library{images: before}), s)
	wantAnswers := []answer{
		{posture.ImageStale, v1alpha1.ReasonImageStale, digest("1a"), digest("2b")},
		{posture.ImageUnknown, v1alpha1.ReasonNotInRegistry, digest("4d"), ""},
		{posture.ImageFresh, v1alpha1.ReasonImageFresh, digest("cf"), ""},
		{posture.ImageFresh, v1alpha1.ReasonImageFresh, digest("5e"), ""},
		{posture.ImageFresh, v1alpha1.ReasonRunsOtherDigest, digest("3c"), digest("2b")},
	}
	if diff := cmp.Diff(wantAnswers, answersOf(want)); diff != "" || want.Images[0].SameContentSince == nil {
		t.Fatalf("the test has not reported what could be lost: %v\n%s", want.Images[0].SameContentSince, diff)
	}
	s.workload.Status = *want.DeepCopy()
	knownLater := map[string]map[string]posture.ImageFacts{
		"nothing is known": nil, "the tags are known first": {lis: build("2b", 5*day), gateway + ":1": index("6f", 20*day)},
		"what pods name is known first": {lisRepo + "@" + digest("4d"): absent(), bridge + "@" + digest("cf"): absent()},
		"everything is known again":     before,
	}
	for name, images := range knownLater {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(want, statusOf(reconcilerWith(&library{images: images}), s)); diff != "" {
				t.Errorf("a restart changed the report (-before +after):\n%s", diff)
			}
		})
	}
}

func TestADeclaredImageIsJudgedForThePlatformOfTheNodes(t *testing.T) {
	images := map[string]posture.ImageFacts{lis + " linux/arm64": build("a4", 10*day), lis + " linux/amd64": build("a6", 10*day), lis: build("00", 10*day)}
	chosen := deployment("lis", lis)
	chosen.Spec.Template.Spec.NodeSelector = map[string]string{corev1.LabelArchStable: "amd64"}
	for name, test := range map[string]struct {
		object client.Object
		common posture.Platform
		want   string
	}{
		"that all have": {deployment("lis", lis), arm, digest("a4")},
		"which nobody knows where there are several":     {deployment("lis", lis), posture.Platform{}, digest("00")},
		"unless its node selector says another":          {chosen, arm, digest("a6")},
		"and so is the image of a pod without a node":    {pod("lis", lis, "", ""), arm, digest("a4")},
		"while a pod with a node is judged for that one": {pod("lis", lis, "", "amd"), arm, digest("a6")},
	} {
		t.Run(name, func(t *testing.T) {
			s := scopeOf(t, test.object)
			s.common = test.common
			if got := statusOf(reconcilerWith(&library{images: images}), s).Images[0].Digest; got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestTheCommonPlatformFollowsTheNodes(t *testing.T) {
	var nodes nodePlatforms
	for _, step := range []struct {
		node     string
		platform posture.Platform
		changed  bool
		common   posture.Platform
	}{
		{"a", posture.Platform{}, false, posture.Platform{}},
		{"a", arm, true, arm},
		{"a", arm, false, arm},
		{"b", arm, false, arm},
		{"c", amd, true, posture.Platform{}},
		{"d", amd, false, posture.Platform{}},
		{"a", posture.Platform{}, false, posture.Platform{}},
		{"b", posture.Platform{}, true, amd},
		{"c", posture.Platform{}, false, amd},
		{"d", posture.Platform{}, true, posture.Platform{}},
	} {
		if changed := nodes.set(step.node, step.platform); changed != step.changed || nodes.common() != step.common {
			t.Fatalf("after %s is %s: changed %t, common %s", step.node, step.platform, changed, nodes.common())
		}
	}
}

func TestEveryReferenceThatMayBeAskedForWakesItsAsker(t *testing.T) {
	images := map[string]posture.ImageFacts{lisRepo + "@" + digest("2b"): absent(), mirror + "@" + digest("2b"): absent()}
	facts := &library{images: images}
	r, s := reconcilerWith(facts), scopeOf(t, pod("lis", lis+"@"+digest("1a"), mirror+"@"+digest("2b"), "arm"), pod("loaded", "registry.example/gateway:1", digest("dd"), "arm"))
	statusOf(r, s)
	for reference := range facts.asked {
		if len(r.waiting.of(reference)) != 1 {
			t.Errorf("an answer about %s wakes nobody", reference)
		}
	}
	if len(facts.asked) < 3 {
		t.Errorf("asked for %v", facts.asked)
	}
}

func TestTheInstantsOfAStatusAreExact(t *testing.T) {
	for name, test := range map[string]struct {
		age         time.Duration
		stale, next time.Duration
	}{
		"fresh: the warning comes first": {10 * day, 80 * day, 66 * day},
		"soon stale":                     {80 * day, 10 * day, 10 * day},
		"too young":                      {day, 89 * day, 2 * day},
	} {
		t.Run(name, func(t *testing.T) {
			r, s := reconcilerWith(&library{images: map[string]posture.ImageFacts{lis: build("1a", test.age)}}), scopeOf(t, deployment("lis", lis))
			status := statusOf(r, s)
			second := today.Truncate(time.Second)
			if !status.StaleAt.Time.Equal(second.Add(test.stale)) || !status.NextChangeAt.Time.Equal(second.Add(test.next)) {
				t.Errorf("stale at %s, next change at %s", status.StaleAt, status.NextChangeAt)
			}
			if s.seeksFresher {
				return
			}
			if next := r.nextLook(s, status); !next.Equal(status.NextChangeAt.Time) {
				t.Errorf("looks again at %s", next)
			}
		})
	}
}

func TestASoonStaleImageIsAWarningInAnEvent(t *testing.T) {
	fine := metav1.Condition{Type: v1alpha1.ConditionImagesFresh, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonImageFresh}
	soon := metav1.Condition{Type: v1alpha1.ConditionImagesFresh, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonImageSoonStale, Message: "soon stale: lis:1"}
	for name, test := range map[string]struct {
		before []metav1.Condition
		now    metav1.Condition
		want   []string
	}{
		"when it becomes so":         {[]metav1.Condition{fine}, soon, []string{"Warning ImageSoonStale ImagesFresh is True: soon stale: lis:1"}},
		"when it was so at first":    {nil, soon, []string{"Warning ImageSoonStale ImagesFresh is True: soon stale: lis:1"}},
		"once":                       {[]metav1.Condition{soon}, soon, nil},
		"and when it is mended":      {[]metav1.Condition{soon}, fine, []string{"Normal ImageFresh ImagesFresh is True: "}},
		"what is fine needs no word": {nil, fine, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var sent announcements
			r := &Reconciler{Recorder: &sent}
			r.announce(&v1alpha1.LabWorkload{Status: v1alpha1.LabWorkloadStatus{Conditions: test.before}}, &v1alpha1.LabWorkloadStatus{Conditions: []metav1.Condition{test.now}})
			if diff := cmp.Diff(test.want, []string(sent)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}
