// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/labguard/labguard/api/v1alpha1"
)

// telling is what tells of news when the test says so.
type telling struct{ listen func() }

func (t *telling) Notify(listen func()) { t.listen = listen }

type tellingRights struct {
	knownRights
	telling
}

type tellingRecords struct {
	knownRecords
	telling
}

func asking(name string, mfa *v1alpha1.MFASpec, training *v1alpha1.TrainingSpec) *v1alpha1.LabWorkload {
	return &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name}, Spec: v1alpha1.LabWorkloadSpec{MFA: mfa, Training: training},
	}
}

func TestNewsOfRightsAndRecordsWakesThoseThatAsk(t *testing.T) {
	t.Parallel()
	mfa, courses := &v1alpha1.MFASpec{}, &v1alpha1.TrainingSpec{Courses: []v1alpha1.Course{course}}
	known, records := &tellingRights{}, &tellingRecords{}
	r := reconcilerWith(&library{})
	r.People = People{Rights: known, Training: records}
	r.Client = fake.NewClientBuilder().WithScheme(kinds(t)).WithObjects(
		asking("both", mfa, courses), asking("logins", mfa, nil), asking("training", nil, courses), asking("neither", nil, nil),
	).Build()
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	defer queue.ShutDown()
	if err := r.peopleEvents().Start(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	woken := func(count int) []string {
		var names []string
		for range count {
			request, _ := queue.Get()
			queue.Done(request)
			names = append(names, request.Name)
		}
		slices.Sort(names)
		return names
	}
	known.listen()
	if diff := cmp.Diff([]string{"both", "logins"}, woken(2)); diff != "" {
		t.Errorf("rights (-want +got):\n%s", diff)
	}
	records.listen()
	if diff := cmp.Diff([]string{"both", "training"}, woken(2)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	var names []string
	for _, request := range r.askingPeople(t.Context(), nil) {
		names = append(names, request.Name)
	}
	if diff := cmp.Diff([]string{"both", "logins", "training"}, names); diff != "" {
		t.Errorf("either (-want +got):\n%s", diff)
	}
}

func TestNewsNeverBlocksWhoeverTells(t *testing.T) {
	t.Parallel()
	known := &tellingRights{}
	r := reconcilerWith(&library{})
	r.People = People{Rights: known}
	r.Client = fake.NewClientBuilder().WithScheme(kinds(t)).WithObjects([]client.Object{}...).Build()
	_ = r.peopleEvents() // nobody takes anything out
	for range 2 * factsBuffer {
		known.listen()
	}
}
