// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	testclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/inventory"
	"github.com/labguard/labguard/internal/posture"
)

const day = 24 * time.Hour

var (
	today = time.Date(2026, time.November, 23, 12, 0, 0, 123456789, time.UTC)
	amd   = posture.Platform{OS: "linux", Architecture: "amd64"}
	arm   = posture.Platform{OS: "linux", Architecture: "arm64"}
	app   = map[string]string{"app": "lis"}
)

// digest is a digest of one repeated pair of digits.
func digest(pair string) string { return "sha256:" + strings.Repeat(pair, 32) }

// library is what registries answer: facts by reference, and by reference and platform where that makes a difference. What is not in it was never
// asked for before.
type library struct {
	images  map[string]posture.ImageFacts
	configs map[string]posture.ImageFacts
	asked   map[string]int
}

func (l *library) Lookup(query posture.ImageQuery) (posture.ImageFacts, bool) {
	if l.asked == nil {
		l.asked = map[string]int{}
	}
	l.asked[query.Reference]++
	if facts, known := l.images[query.Reference+" "+query.Platform.String()]; known {
		return facts, true
	}
	if facts, known := l.images[query.Reference]; known {
		return facts, true
	}
	return posture.ImageFacts{Unknown: v1alpha1.ReasonNotResolved}, false
}

func (l *library) OfConfig(configDigest string) (posture.ImageFacts, bool) {
	facts, known := l.configs[configDigest]
	return facts, known
}

func (l *library) NextLook(posture.ImageQuery) time.Time { return today.Add(30 * time.Second) }

type nothingServed struct{}

func (nothingServed) Serves(schema.GroupKind) bool { return false }

func (nothingServed) PolicyEngines() []string { return nil }

func build(name string, age time.Duration) posture.ImageFacts {
	return posture.ImageFacts{Digest: digest(name), ConfigDigest: "sha256:config-" + name, ConfigCreated: today.Add(-age).Truncate(time.Second)}
}

func absent() posture.ImageFacts { return posture.ImageFacts{Unknown: v1alpha1.ReasonImageNotFound} }

func pod(name, image, imageID, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name, UID: types.UID(name), Labels: app},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "app", Image: image}}},
		Status:     corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "app", ImageID: imageID}}},
	}
}

func deployment(name, image string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name, UID: types.UID(name)},
		Spec: appsv1.DeploymentSpec{Replicas: ptr.To[int32](2), Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: app}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: image}}},
		}},
	}
}

// controlled makes one object the controller of another.
func controlled[T client.Object](object T, kind, owner string) T {
	object.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: owner, UID: types.UID(owner), Controller: new(true)}})
	return object
}

// scopeOf is what a reconcile would have gathered of some objects for a LabWorkload that allows 90 days.
func scopeOf(t *testing.T, objects ...client.Object) *scope {
	t.Helper()
	reader := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(objects...).Build()
	found, err := inventory.List(t.Context(), reader, nothingServed{}, "pathology")
	if err != nil {
		t.Fatal(err)
	}
	workload := &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis", Generation: 3},
		Spec:       v1alpha1.LabWorkloadSpec{Selector: metav1.LabelSelector{MatchLabels: app}, Images: &v1alpha1.ImagesSpec{MaxAge: "2160h", MinAge: "72h"}},
	}
	return &scope{
		workload: workload, now: today, found: found, selector: labels.SelectorFromSet(app), platforms: map[string]posture.Platform{"arm": arm, "amd": amd},
		enforcement: posture.EnforcementAt(&workload.Spec, today),
	}
}

// statusOf decides about a scope with what the registries answer.
func statusOf(r *Reconciler, s *scope) *v1alpha1.LabWorkloadStatus {
	s.unknown, s.seeksFresher = nil, false
	decided, _ := r.decide(s)
	return computeStatus(s, decided, nil)
}

func reconcilerWith(facts Facts) *Reconciler {
	return &Reconciler{Facts: facts, Served: nothingServed{}, Clock: testclock.NewFakeClock(today), Recorder: noEvents{}, Random: func() float64 { return 0 }}
}

// announcements are the events that were sent.
type announcements []string

func (a *announcements) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	*a = append(*a, kind+" "+reason+" "+fmt.Sprintf(note, args...))
}

// kinds are those that a reconcile reads.
func kinds(t *testing.T) *runtime.Scheme {
	t.Helper()
	all := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(all), v1alpha1.AddToScheme(all)); err != nil {
		t.Fatal(err)
	}
	return all
}
