// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/training"
)

// server answers requests by their method and address, and keeps what was asked.
type server struct {
	answers map[string]any
	asked   []string
	bodies  []string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := r.Method + " " + r.URL.RequestURI()
	body, _ := io.ReadAll(r.Body)
	s.asked, s.bodies = append(s.asked, request), append(s.bodies, string(body))
	answer, found := s.answers[request]
	w.Header().Set("Content-Type", "application/json")
	if !found {
		w.WriteHeader(http.StatusNotFound)
		answer = metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Message: "no " + request, Code: http.StatusNotFound}
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		panic(err)
	}
}

// apiOf is a client of a server with some answers.
func apiOf(t *testing.T, answers map[string]any) (labguardAPI, *server) {
	t.Helper()
	s := &server{answers: answers}
	listener := httptest.NewServer(s)
	t.Cleanup(listener.Close)
	api, err := newLabguardAPI(&rest.Config{Host: listener.URL})
	if err != nil {
		t.Fatal(err)
	}
	return api, s
}

func oneRecord() training.Record {
	return training.Record{Subject: "ann", Issuer: "https://login.lab.example", Course: "phishing-basics", Completed: time.Date(2026, time.January, 15, 0, 0, 0, 0, time.UTC)}
}

func TestRecordsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	page := func(name, next string) v1alpha1.TrainingRecordList {
		object := *oneRecord().Object()
		object.Name = name
		return v1alpha1.TrainingRecordList{
			TypeMeta: metav1.TypeMeta{APIVersion: "labguard.dev/v1alpha1", Kind: "TrainingRecordList"}, ListMeta: metav1.ListMeta{Continue: next},
			Items: []v1alpha1.TrainingRecord{object},
		}
	}
	const path = "GET /apis/labguard.dev/v1alpha1/trainingrecords?"
	api, _ := apiOf(t, map[string]any{path + "limit=1000": page("a", "more"), path + "continue=more&limit=1000": page("b", "")})
	there, err := clusterRecords{api}.list(t.Context())
	if err != nil || len(there) != 2 || !oneRecord().Is(there["a"]) || !oneRecord().Is(there["b"]) {
		t.Errorf("%v, %+v", err, there)
	}
}

func TestWhereThereIsNoSuchKindTheErrorSaysWhatWasAsked(t *testing.T) {
	t.Parallel()
	api, _ := apiOf(t, nil)
	if _, err := (clusterRecords{api}).list(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "the cluster does not know trainingrecords.labguard.dev: labguard is not installed there") {
		t.Error(err)
	}
}

func TestAnApplyThatLeavesAFieldOfSomebodyElseIsFollowedByAWholeWrite(t *testing.T) {
	t.Parallel()
	path := " /apis/labguard.dev/v1alpha1/trainingrecords/" + oneRecord().Name() + "?"
	whole := oneRecord().Object()
	whole.ResourceVersion = "7"
	left := whole.DeepCopy()
	left.Spec.Expires = &metav1.Time{Time: time.Date(2031, time.January, 15, 0, 0, 0, 0, time.UTC)}
	for name, c := range map[string]struct {
		answer *v1alpha1.TrainingRecord
		dryRun bool
		want   []string
	}{
		"nothing is left":              {answer: whole, want: []string{"PATCH" + path + "fieldManager=labguard-plugin&force=true"}},
		"nothing is left in a dry run": {answer: whole, dryRun: true, want: []string{"PATCH" + path + "dryRun=All&fieldManager=labguard-plugin&force=true"}},
		"an end is left": {answer: left, want: []string{
			"PATCH" + path + "fieldManager=labguard-plugin&force=true", "PUT" + path + "fieldManager=labguard-plugin",
		}},
		"an end is left in a dry run": {answer: left, dryRun: true, want: []string{
			"PATCH" + path + "dryRun=All&fieldManager=labguard-plugin&force=true", "PUT" + path + "dryRun=All&fieldManager=labguard-plugin",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers := map[string]any{}
			for _, request := range c.want {
				answers[request] = c.answer
			}
			api, s := apiOf(t, answers)
			if err := (clusterRecords{api}).apply(t.Context(), oneRecord(), c.dryRun); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, s.asked); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			last := s.bodies[len(s.bodies)-1]
			if strings.Contains(last, "expires") || len(c.want) == 2 && !strings.Contains(last, `"resourceVersion":"7"`) {
				t.Errorf("it sends %s", last)
			}
		})
	}
}

func TestAnAcknowledgementIsOfWhatWasRead(t *testing.T) {
	t.Parallel()
	use := useOf("pathology", "sealed-1", 1, 5)
	use.ResourceVersion = "7"
	request := "PATCH /apis/labguard.dev/v1alpha1/namespaces/pathology/breakglassuses/sealed-1?fieldManager=labguard-plugin"
	api, s := apiOf(t, map[string]any{request: use})
	if err := (clusterUses{api: api}).acknowledge(t.Context(), &use, v1alpha1.BreakGlassAcknowledgement{By: "ann", Reason: "INC-4711"}); err != nil {
		t.Fatal(err)
	}
	if want := `{"metadata":{"resourceVersion":"7"},"spec":{"acknowledgement":{"by":"ann","reason":"INC-4711"}}}`; s.bodies[0] != want {
		t.Errorf("it sends %s, want %s", s.bodies[0], want)
	}
}

func TestUsesOfOneNamespaceOrOfAllAreListed(t *testing.T) {
	t.Parallel()
	list := func(names ...string) v1alpha1.BreakGlassUseList {
		found := v1alpha1.BreakGlassUseList{TypeMeta: metav1.TypeMeta{APIVersion: "labguard.dev/v1alpha1", Kind: "BreakGlassUseList"}}
		for _, name := range names {
			found.Items = append(found.Items, useOf("pathology", name, 1, 5))
		}
		return found
	}
	api, _ := apiOf(t, map[string]any{
		"GET /apis/labguard.dev/v1alpha1/namespaces/pathology/breakglassuses?limit=1000": list("a"),
		"GET /apis/labguard.dev/v1alpha1/breakglassuses?limit=1000":                      list("a", "b"),
	})
	for namespace, want := range map[string]int{"pathology": 1, "": 2} {
		if uses, err := (clusterUses{api: api}).list(t.Context(), namespace); err != nil || len(uses) != want {
			t.Errorf("%q: %v, %s", namespace, err, fmt.Sprint(len(uses)))
		}
	}
}
