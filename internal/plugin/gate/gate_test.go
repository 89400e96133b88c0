// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/plugin/tree"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/posture/template"
	"github.com/labguard/labguard/internal/testutil/golden"
)

var noon = time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)

const month = 30 * 24 * time.Hour

func in(days int) *metav1.Time { return &metav1.Time{Time: noon.AddDate(0, 0, days)} }

func digest(of string) string { return "sha256:" + strings.Repeat(of, 64) }

// deployment is lis with one container, as the cluster has it.
func deployment(image string, annotations map[string]string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis", UID: "1", Annotations: annotations},
		Spec: appsv1.DeploymentSpec{Paused: annotations[v1alpha1.HoldAnnotation] != "", Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "lis"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "lis", Image: image}}},
		}},
	}
}

func object(t *testing.T, of *appsv1.Deployment) gate.Object {
	t.Helper()
	root, _ := template.FromObject(of)
	raw, err := json.Marshal(of)
	if err != nil {
		t.Fatal(err)
	}
	fields, err := hold.Read("Deployment", raw)
	if err != nil {
		t.Fatal(err)
	}
	return gate.Object{Root: &root, Fields: fields}
}

const (
	old   = "registry.example/lab/lis:1.9"
	fresh = "registry.example/lab/lis:2.4"
)

// pathology enforces 90 days on lis, has let the fresh image in, and knows how old both are.
func pathology(onStale v1alpha1.OnStale) *gate.Seen {
	contents := map[string]posture.Content{
		digest("a"): {Digest: digest("a"), ConfigCreated: in(-120).Time},
		digest("b"): {Digest: digest("b"), ConfigCreated: in(-70).Time},
	}
	return &gate.Seen{
		Namespace: "pathology", Now: noon,
		Workloads: []v1alpha1.LabWorkload{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis"},
			Spec: v1alpha1.LabWorkloadSpec{
				Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}}, Enforcement: v1alpha1.EnforcementEnforce,
				Images: &v1alpha1.ImagesSpec{MaxAge: "2160h", OnStale: onStale},
			},
			Status: v1alpha1.LabWorkloadStatus{Images: []v1alpha1.ImageStatus{{Reference: fresh, Digest: digest("b"), Declared: true, Answer: "Fresh", Reason: "ImageFresh"}}},
		}},
		Records: []v1alpha1.RolloutRecord{
			{ObjectMeta: metav1.ObjectMeta{Name: "deployment-lis"}, Spec: v1alpha1.RolloutRecordSpec{
				Root:     &v1alpha1.RootReference{Kind: "Deployment", Name: "lis"},
				Admitted: []v1alpha1.AdmittedImage{{Reference: fresh, Reason: v1alpha1.AdmittedFresh, Digest: digest("b"), Time: *in(-60)}},
			}},
			{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.EpochRecordName}, Spec: v1alpha1.RolloutRecordSpec{Epoch: &v1alpha1.Epoch{Proof: v1alpha1.ReasonProven}}},
		},
		Content: func(of string) (posture.Content, bool) { found, ok := contents[of]; return found, ok },
		Digest:  func(of string) (string, bool) { return digest("a"), of == old },
	}
}

func explain(t *testing.T, seen *gate.Seen, of *appsv1.Deployment, other map[string]string) gate.Explanation {
	t.Helper()
	found, err := gate.Explain(seen, object(t, of), other, month)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestWhatIsAdmittedRollsOutAndWouldNotComeInAnewLater(t *testing.T) {
	t.Parallel()
	found := explain(t, pathology(""), deployment(fresh, nil), nil)
	if found.Now.Verdict != gate.RollsOut || found.Later.Verdict != gate.RollsOut || found.AnewNow.Verdict != gate.RollsOut || found.AnewLater.Verdict != gate.Refuses {
		t.Errorf("%+v", found)
	}
	golden.Text(t, "admitted", tree.Paper{}.Draw(found.Draw(noon)))
	golden.Text(t, "admitted-terminal", tree.Paper{Lines: true, Unicode: true, Colour: true, Width: 90}.Draw(found.Draw(noon)))
	golden.YAML(t, "admitted", found)
}

func TestAnotherImageIsAskedAboutAsAdmissionWould(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		onStale v1alpha1.OnStale
		want    gate.Verdict
	}{"denied": {v1alpha1.OnStaleDeny, gate.Refuses}, "held": {v1alpha1.OnStaleHold, gate.Holds}, "warned": {v1alpha1.OnStaleWarn, gate.Warns}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := explain(t, pathology(c.onStale), deployment(fresh, nil), map[string]string{"lis": old})
			if found.Now.Verdict != c.want {
				t.Errorf("%+v", found.Now)
			}
			golden.Text(t, "other-"+name, tree.Paper{}.Draw(found.Draw(noon)))
		})
	}
	if _, err := gate.Explain(pathology(""), object(t, deployment(fresh, nil)), map[string]string{"x": old}, month); err == nil || err.Error() != "Deployment lis has no container x: it has lis" {
		t.Error(err)
	}
}

func TestUnderAuditItIsSaidWhatEnforceWouldDo(t *testing.T) {
	t.Parallel()
	seen := pathology("")
	seen.Workloads[0].Spec.Enforcement = v1alpha1.EnforcementAudit
	found := explain(t, seen, deployment(fresh, nil), map[string]string{"lis": old})
	if found.Now.Verdict != gate.RollsOut || found.UnderEnforce == nil || found.UnderEnforce.Verdict != gate.Refuses {
		t.Errorf("%+v", found)
	}
	golden.Text(t, "audit", tree.Paper{}.Draw(found.Draw(noon)))

	// What is delayed is enforced when the day has come.
	seen.Workloads[0].Spec.Enforcement, seen.Workloads[0].Spec.EnforceAfter = v1alpha1.EnforcementEnforce, "2026-12-01"
	if found := explain(t, seen, deployment(fresh, nil), map[string]string{"lis": old}); found.Now.Verdict != gate.RollsOut || found.Later.Verdict != gate.Refuses {
		t.Errorf("%+v", found)
	}
	seen.Workloads = nil
	golden.Text(t, "ungoverned", tree.Paper{}.Draw(explainNode(t, seen)))
}

func explainNode(t *testing.T, seen *gate.Seen) tree.Node {
	t.Helper()
	found := explain(t, seen, deployment(fresh, nil), nil)
	return found.Draw(noon)
}

func TestWhatIsNotKnownIsSaidToBeUnknown(t *testing.T) {
	t.Parallel()
	seen := pathology("")
	seen.Content, seen.Digest = nil, nil
	found := explain(t, seen, deployment(fresh, nil), map[string]string{"lis": "registry.example/lab/lis:3.0"})
	if found.Now.Verdict != gate.Warns || found.Images[0].Answer != posture.ImageUnknown || found.Images[0].Basis != "" {
		t.Errorf("%+v", found)
	}
	// What a status has kept of an image is enough where no ImageRecord may be read.
	seen.Workloads[0].Status.Images[0].Created, seen.Workloads[0].Status.Images[0].Evidence = in(-70), "History"
	found = explain(t, seen, deployment(fresh, nil), nil)
	if one := found.Images[0]; one.Answer != posture.ImageFresh || one.Basis != gate.BasisStatus || one.Evidence != "History" {
		t.Errorf("%+v", one)
	}
	seen.Workloads[0].Status.Images[0] = v1alpha1.ImageStatus{Reference: fresh, Answer: posture.ImageUnknown, Reason: v1alpha1.ReasonRegistryUnreachable}
	if one := explain(t, seen, deployment(fresh, nil), nil).Images[0]; one.Reason != v1alpha1.ReasonRegistryUnreachable {
		t.Errorf("%+v", one)
	}
}

func TestWhatATagMeansIsTakenFromWhoeverKnowsItBest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*gate.Seen)
		image  string
		want   gate.Basis
	}{
		"a digest":                   {image: "registry.example/lab/lis@" + digest("a"), want: gate.BasisDigest},
		"the status":                 {image: fresh, want: gate.BasisStatus},
		"a fresher build":            {image: fresh, want: gate.BasisStatus, change: func(s *gate.Seen) { s.Workloads[0].Status.Images[0].Fresher = digest("a") }},
		"the admission":              {image: fresh, want: gate.BasisAdmission, change: func(s *gate.Seen) { s.Workloads[0].Status.Images[0].Reason = v1alpha1.ReasonRunsOtherDigest }},
		"the record of the digest":   {image: old, want: gate.BasisRecord},
		"nobody, and it says nobody": {image: "registry.example/lab/lis:0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := pathology("")
			if c.change != nil {
				c.change(seen)
			}
			if one := explain(t, seen, deployment(c.image, nil), nil).Images[0]; one.Basis != c.want {
				t.Errorf("%+v", one)
			}
		})
	}
}

func TestAHeldRolloutSaysWhyAndWhatToDo(t *testing.T) {
	t.Parallel()
	held := func() (*gate.Seen, *appsv1.Deployment) {
		seen := pathology(v1alpha1.OnStaleHold)
		seen.Records[0].Spec.Held = &v1alpha1.Hold{Since: *in(-6), Images: []string{old}}
		seen.Workloads[0].Status.Held = []v1alpha1.HeldRollout{{Kind: "Deployment", Name: "lis", Reason: v1alpha1.ReasonHeldMidRollout, Since: in(-6), Images: []string{old}}}
		seen.Records = append(seen.Records, v1alpha1.RolloutRecord{
			ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.RunOnceRecordName}, Spec: v1alpha1.RolloutRecordSpec{Held: &v1alpha1.Hold{Since: *in(-1), Images: []string{old}}},
		})
		return seen, deployment(old, map[string]string{v1alpha1.HoldAnnotation: `{"paused":null}`})
	}
	for name, change := range map[string]func(*gate.Seen, *appsv1.Deployment) bool{
		"held":      func(*gate.Seen, *appsv1.Deployment) bool { return true },
		"unread":    func(*gate.Seen, *appsv1.Deployment) bool { return false },
		"suspended": func(s *gate.Seen, _ *appsv1.Deployment) bool { s.Workloads[0].Spec.Suspend = true; return true },
		"recovery": func(s *gate.Seen, _ *appsv1.Deployment) bool {
			s.Records[1].Spec.Epoch.RecoverySince = in(0)
			return true
		},
		"mended": func(s *gate.Seen, _ *appsv1.Deployment) bool {
			s.Digest = func(string) (string, bool) { return digest("b"), true }
			return true
		},
		"released": func(_ *gate.Seen, d *appsv1.Deployment) bool { d.Annotations = nil; return true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen, object := held()
			readable := change(seen, object)
			root, _ := template.FromObject(object)
			found := gate.List(seen, func(string, string) *template.Root {
				if readable {
					return &root
				}
				return nil
			})
			if len(found) != 2 || found[0].Name != "lis" || found[1].Kind != gate.RunOnce {
				t.Fatalf("%+v", found)
			}
			golden.Text(t, "hold-"+name, tree.Paper{}.Draw(found[0].Draw(noon), found[1].Draw(noon)))
		})
	}
	seen, object1 := held()
	found := explain(t, seen, object1, nil)
	if !found.Held || found.Now.Verdict != gate.Holds {
		t.Errorf("%+v", found)
	}
	found = explain(t, seen, object1, map[string]string{"lis": fresh})
	golden.Text(t, "hold-explained", tree.Paper{}.Draw(found.Draw(noon)))
}

func TestWhereSomethingElseDecidesTheAnswerIsThatOfTheCluster(t *testing.T) {
	t.Parallel()
	hold := map[string]string{v1alpha1.HoldAnnotation: `{"paused":null}`}
	suspended := func(s *gate.Seen) { s.Workloads[0].Spec.Suspend = true }
	recovery := func(s *gate.Seen) { s.Records[1].Spec.Epoch.RecoverySince = in(0) }
	refuses := func(s *gate.Seen) { s.Workloads[0].Spec.Images.OnStale = v1alpha1.OnStaleDeny }
	for name, c := range map[string]struct {
		of         *appsv1.Deployment
		other      string
		change     []func(*gate.Seen)
		now, later gate.Verdict
		reason     string
	}{
		"in recovery":                        {deployment(fresh, nil), old, []func(*gate.Seen){refuses, recovery}, gate.RollsOut, gate.Refuses, "the namespace is in recovery"},
		"held, in recovery":                  {deployment(old, hold), "", []func(*gate.Seen){recovery}, gate.RollsOut, gate.Holds, "the namespace is in recovery"},
		"held and suspended with fine ones":  {deployment(fresh, hold), "", []func(*gate.Seen){suspended}, gate.Holds, gate.Holds, "a LabWorkload that selects it is suspended"},
		"held with fine ones":                {deployment(fresh, hold), "", nil, gate.Holds, gate.RollsOut, "labguard releases it in a moment"},
		"held, and a fresh one is brought":   {deployment(old, hold), fresh, nil, gate.Holds, gate.Holds, "labguard releases it in a moment"},
		"held, and a stale one is forbidden": {deployment(old, hold), "", []func(*gate.Seen){refuses}, gate.Refuses, gate.Refuses, "is stale"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen, other := pathology(v1alpha1.OnStaleHold), map[string]string(nil)
			for _, change := range c.change {
				change(seen)
			}
			if c.other != "" {
				other = map[string]string{"lis": c.other}
			}
			found := explain(t, seen, c.of, other)
			if found.Now.Verdict != c.now || found.Later.Verdict != c.later || !strings.Contains(strings.Join(found.Now.Reasons, " "), c.reason) {
				t.Errorf("%+v, %+v", found.Now, found.Later)
			}
		})
	}
}

// pod is one with some images, by the names of containers; those that begin with "airlock" are init containers.
func pod(t *testing.T, owner *metav1.OwnerReference, images map[string]string) gate.Object {
	t.Helper()
	of := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis-0", Labels: map[string]string{"app": "lis"}}}
	if owner != nil {
		of.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	for _, name := range slices.Sorted(maps.Keys(images)) {
		if container := (corev1.Container{Name: name, Image: images[name]}); strings.HasPrefix(name, "airlock") {
			of.Spec.InitContainers = append(of.Spec.InitContainers, container)
		} else {
			of.Spec.Containers = append(of.Spec.Containers, container)
		}
	}
	root, _ := template.FromObject(of)
	raw, err := json.Marshal(of)
	if err != nil {
		t.Fatal(err)
	}
	fields, err := hold.Read("Pod", raw)
	if err != nil {
		t.Fatal(err)
	}
	return gate.Object{Root: &root, Fields: fields}
}

func TestWhatAComponentOfKubernetesMakesIsNotRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		owner metav1.OwnerReference
		want  gate.Verdict
	}{
		"of a ReplicaSet": {metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "lis-5d", Controller: new(true)}, gate.RollsOut},
		"of a Job":        {metav1.OwnerReference{APIVersion: "batch/v1", Kind: "Job", Name: "lis", Controller: new(true)}, gate.RollsOut},
		"of an operator":  {metav1.OwnerReference{APIVersion: "db.example/v1", Kind: "Database", Name: "db", Controller: new(true)}, gate.Refuses},
		"of a namesake":   {metav1.OwnerReference{APIVersion: "apps.example/v1", Kind: "ReplicaSet", Name: "lis", Controller: new(true)}, gate.Refuses},
		"of nobody":       {metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "lis-5d"}, gate.Refuses},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, err := gate.Explain(pathology(""), pod(t, &c.owner, map[string]string{"lis": old}), nil, month)
			if err != nil || !found.Now.Verdict.Passes() || found.AnewNow.Verdict != c.want || found.AnewLater.Verdict != c.want {
				t.Errorf("%v: %+v", err, found)
			}
			// What is held stays so, and is not refused either.
			held := pod(t, &c.owner, map[string]string{"lis": old})
			held.Root.Annotations = map[string]string{v1alpha1.HoldAnnotation: "{}"}
			want := gate.Refuses
			if c.want == gate.RollsOut {
				want = gate.Holds
			}
			found, err = gate.Explain(pathology(""), held, nil, month)
			if err != nil || found.Now.Verdict != want || found.Later.Verdict != want || !strings.Contains(strings.Join(found.Now.Reasons, " "), "is stale") {
				t.Errorf("%v: %+v", err, found)
			}
			// Whoever asks about another image asks about a write of a person.
			found, err = gate.Explain(pathology(""), pod(t, &c.owner, map[string]string{"lis": fresh}), map[string]string{"lis": old}, month)
			if err != nil || found.Now.Verdict != gate.Refuses {
				t.Errorf("%v: %+v", err, found)
			}
		})
	}
}

// Whoever owns the pod can neither choose nor renew airlock, and admission leaves it out.
func TestWhatLabguardHasAddedToAPodIsNotJudged(t *testing.T) {
	t.Parallel()
	airlock := "registry.example/labguard/airlock@" + digest("c")
	for name, c := range map[string]struct {
		images  map[string]string
		airlock []string
		judged  []string
		anew    gate.Verdict
	}{
		"injected":      {map[string]string{"lis": fresh, "airlock": airlock, "airlock-redirect": airlock}, []string{airlock}, []string{fresh}, gate.RollsOut},
		"not known":     {map[string]string{"lis": fresh, "airlock": airlock}, nil, []string{airlock, fresh}, gate.Refuses},
		"another image": {map[string]string{"lis": fresh, "airlock": old}, []string{airlock}, []string{old, fresh}, gate.Refuses},
		"another name":  {map[string]string{"lis": fresh, "airlock-of-mine": airlock}, []string{airlock}, []string{airlock, fresh}, gate.Refuses},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := pathology("")
			seen.Workloads[0].Spec.Images.OnUnknownAge, seen.Airlock = v1alpha1.OnStaleDeny, c.airlock
			found, err := gate.Explain(seen, pod(t, nil, c.images), nil, month)
			if err != nil || found.AnewNow.Verdict != c.anew {
				t.Errorf("%v: %+v", err, found)
			}
			var judged []string
			for i := range found.Images {
				judged = append(judged, found.Images[i].Reference)
			}
			if !slices.Equal(judged, c.judged) {
				t.Errorf("it judges %v, want %v", judged, c.judged)
			}
		})
	}
	seen, held := pathology(v1alpha1.OnStaleHold), pod(t, nil, map[string]string{"lis": fresh, "airlock": airlock})
	held.Root.Annotations = map[string]string{v1alpha1.HoldAnnotation: "{}"}
	seen.Workloads[0].Spec.Images.OnUnknownAge, seen.Airlock = v1alpha1.OnStaleHold, []string{airlock}
	seen.Workloads[0].Status.Held = []v1alpha1.HeldRollout{{Kind: "Pod", Name: "lis-0", Reason: v1alpha1.ReasonRolloutHeld, Since: in(-1)}}
	if found := gate.List(seen, func(string, string) *template.Root { return held.Root }); len(found) != 1 || len(found[0].Why) > 0 || len(held.Root.Template.Images) != 2 {
		t.Errorf("%+v", found)
	}
}

func TestTheWorstAnswerAboutAnImageIsShown(t *testing.T) {
	t.Parallel()
	seen := pathology("")
	seen.Workloads = append(seen.Workloads, *seen.Workloads[0].DeepCopy())
	seen.Workloads[1].Name = "lis-careful"
	// It allows more days than the other, and is older when it is let in.
	seen.Workloads[1].Spec.Images.MaxAge, seen.Workloads[1].Spec.Images.MinAge = "4320h", "2400h"
	for range 2 {
		found := explain(t, seen, deployment("registry.example/lab/lis:1", nil), map[string]string{"lis": "registry.example/lab/lis@" + digest("b")})
		if one := found.Images[0]; found.Now.Verdict != gate.Refuses || one.Answer != posture.ImageTooYoung || one.StaleAt == nil || !one.StaleAt.Equal(in(20).Time) {
			t.Errorf("%+v", found)
		}
		slices.Reverse(seen.Workloads)
	}
}

func TestWhatAControllerOwnsIsAskedAboutThere(t *testing.T) {
	t.Parallel()
	owned := deployment(old, nil)
	owned.OwnerReferences = []metav1.OwnerReference{{Kind: "Database", Name: "db", Controller: new(true)}}
	if found := explain(t, pathology(""), owned, nil); found.Owner != "Database/db" || len(found.Notes) == 0 {
		t.Errorf("%+v", found)
	}
}
