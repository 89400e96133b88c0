// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// running is the namespace of pathology with all that a plan reads.
func running() map[string]any {
	answers := pathology()
	lis, _ := answers[theObject].(appsv1.Deployment)
	answers["GET /apis/apps/v1/namespaces/pathology/deployments?limit=1000"] = appsv1.DeploymentList{Items: []appsv1.Deployment{lis}}
	for _, path := range []string{"apps/v1/namespaces/pathology/statefulsets", "apps/v1/namespaces/pathology/daemonsets", "batch/v1/namespaces/pathology/cronjobs"} {
		answers["GET /apis/"+path+"?limit=1000"] = map[string]any{}
	}
	for _, path := range []string{"networkpolicies", "ingresses"} {
		answers["GET /apis/networking.k8s.io/v1/namespaces/pathology/"+path] = map[string]any{}
	}
	list := func(kind string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: "v1", Kind: kind} }
	answers["GET /api/v1/namespaces/pathology/services"] = corev1.ServiceList{TypeMeta: list("ServiceList")}
	answers["GET /api/v1/namespaces/pathology/pods?limit=1000"] = corev1.PodList{TypeMeta: list("PodList")}
	answers["GET /api/v1/pods?fieldSelector=metadata.namespace%21%3Dpathology&limit=1000"] = corev1.PodList{TypeMeta: list("PodList")}
	answers["GET /api/v1/namespaces"] = corev1.NamespaceList{TypeMeta: list("NamespaceList")}
	return answers
}

func planning(output string) func(context.Context, session, reader) error {
	return func(ctx context.Context, s session, r reader) error { return s.plan(ctx, r, "pathology", output) }
}

func TestAPlanIsPrintedForPeopleAndPrograms(t *testing.T) {
	t.Parallel()
	s, err := asking(t, &server{answers: running()}, planning(""))
	if err != nil || s.err.Len() > 0 {
		t.Errorf("%v, %s", err, s.err)
	}
	for _, want := range []string{"pathology/lis (deployment/lis)\n", "stopped: deployment/lis: " + stale + " is stale, made 2026-07-29 (Config); brought in anew it is held", "\nTo paste; kubectl labguard plan -o yaml"} {
		if !strings.Contains(s.out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, s.out)
		}
	}
	people := s.out.String()
	s, err = asking(t, &server{answers: running()}, planning("yaml"))
	if err != nil || !strings.HasPrefix(s.out.String(), "# LabWorkload lis as it is: nothing is known to be missing\napiVersion: ") || !strings.HasSuffix(people, s.out.String()) {
		t.Errorf("%v\n%s", err, s.out)
	}
	s, err = asking(t, &server{answers: running()}, planning("json"))
	var got struct {
		Plan struct {
			LabWorkloads []struct{ Manifest v1alpha1.LabWorkload }
		}
		Missing []string
	}
	if failed := json.Unmarshal(s.out.Bytes(), &got); failed != nil || err != nil || len(got.Plan.LabWorkloads) != 1 || got.Plan.LabWorkloads[0].Manifest.Spec.Images.OnStale != v1alpha1.OnStaleHold || got.Missing == nil {
		t.Errorf("%v, %v\n%s", err, failed, s.out)
	}
}

func TestAPlanReadsThePodsOfItsNamespacePageByPage(t *testing.T) {
	t.Parallel()
	const pods = "GET /api/v1/namespaces/pathology/pods?"
	page := func(name, next string) corev1.PodList {
		return corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, ListMeta: metav1.ListMeta{Continue: next}, Items: []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name}}}}
	}
	answers := running()
	answers[pods+"limit=1000"], answers[pods+"continue=more&limit=1000"] = page("one", "more"), page("two", "")
	s, err := asking(t, &server{answers: answers}, planning(""))
	if err != nil || !strings.Contains(s.out.String(), "pod one: ") || !strings.Contains(s.out.String(), "pod two: ") {
		t.Errorf("%v\n%s", err, s.out)
	}
}

// What a plan cannot do without is an error; without the rest it says what it lacks.
func TestAPlanSaysWhatItCouldNotLookAt(t *testing.T) {
	t.Parallel()
	optional := map[string]string{
		labPath + "/labworkloads?limit=1000":                                          "LabWorkloads of other namespaces",
		"GET /api/v1/pods?fieldSelector=metadata.namespace%21%3Dpathology&limit=1000": "pods of other namespaces",
		"GET /api/v1/namespaces":                                                      "labels of namespaces",
		labPath + "/imagerecords?limit=1000":                                          "how old images are",
	}
	for request := range running() {
		read := strings.Contains(request, "/namespaces/pathology/") && !strings.Contains(request, "/labworkloads/") && request != theObject && !strings.HasSuffix(request, "services?")
		what, mayLack := optional[request]
		if !read && !mayLack {
			continue
		}
		answers := maps.Clone(running())
		delete(answers, request)
		forbidden := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method+" "+r.URL.RequestURI() == request {
				refusing(http.StatusForbidden, metav1.StatusReasonForbidden).ServeHTTP(w, r)
				return
			}
			(&server{answers: answers}).ServeHTTP(w, r)
		})
		s, err := asking(t, forbidden, planning(""))
		switch {
		case exitCode(err) != exitUnanswered || err == nil:
			t.Errorf("without %s: %v", request, err)
		case mayLack && (!strings.Contains(s.err.String(), "Not looked at: "+what+": ") && !strings.Contains(s.err.String(), "Not looked at: "+what+", which") || s.out.Len() == 0):
			t.Errorf("without %s: %s%s", request, s.err, s.out)
		case !mayLack && (!strings.HasPrefix(err.Error(), "you may not list ") || s.out.Len() > 0):
			t.Errorf("without %s: %v\n%s", request, err, s.out)
		}
	}
}
