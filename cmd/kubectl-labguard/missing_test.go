// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// partly is a list of names, as the API server gives them without what is in the objects.
func partly(names ...string) metav1.PartialObjectMetadataList {
	list := metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"}}
	for _, name := range names {
		namespace, own, _ := strings.Cut(name, "/")
		list.Items = append(list.Items, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: own}})
	}
	return list
}

func TestANameThatIsNotThereIsToldWithWhatMayBeMeant(t *testing.T) {
	t.Parallel()
	status := func(namespace, name string) func(context.Context, session, reader) error {
		return func(ctx context.Context, s session, r reader) error {
			return s.status(ctx, r, namespace, []string{name}, "")
		}
	}
	object := func(name string) func(context.Context, session, reader) error {
		return func(ctx context.Context, s session, r reader) error {
			return s.explainObject(ctx, r, &explainOptions{days: 30}, kinds[0], "pathology", name)
		}
	}
	answers := pathology()
	answers[labPath+"/labworkloads?limit=1000"] = partly("pathology/lis", "pathology/lis-db", "chemistry/gateway")
	answers["GET /apis/apps/v1/deployments?limit=1000"] = partly("pathology/lis", "radiology/pacs")
	answers["GET /api/v1/namespaces?limit=1000"] = partly("/pathology", "/radiology")
	// Whoever may not list the whole cluster gets what the namespace has.
	narrow := pathology()
	delete(narrow, labPath+"/labworkloads?limit=1000")
	for name, c := range map[string]struct {
		answers map[string]any
		ask     func(context.Context, session, reader) error
		want    string
	}{
		"a letter":              {answers, status("pathology", "lsi"), "there is no LabWorkload lsi in namespace pathology: did you mean lis?"},
		"a part":                {answers, status("pathology", "db"), "there is no LabWorkload db in namespace pathology: did you mean lis-db?"},
		"another namespace":     {answers, status("pathology", "gateway"), "there is no LabWorkload gateway in namespace pathology: there is one in namespace chemistry, which -n chooses"},
		"nothing like it":       {answers, status("pathology", "xyzzy"), "there is no LabWorkload xyzzy in namespace pathology"},
		"no such namespace":     {answers, status("patology", "xyzzy"), "there is no namespace patology: did you mean pathology?"},
		"few rights":            {narrow, status("pathology", "lsi"), "there is no LabWorkload lsi in namespace pathology: did you mean lis?"},
		"an object":             {answers, object("lsi"), "there is no Deployment lsi in namespace pathology: did you mean lis?"},
		"an object elsewhere":   {answers, object("pacs"), "there is no Deployment pacs in namespace pathology: there is one in namespace radiology, which -n chooses"},
		"an object of no kind":  {answers, object("relax"), "there is no Deployment relax in namespace pathology"},
		"a name that cannot be": {answers, object("a b"), `there is no Deployment a b in namespace pathology`},
		"the other end of a way": {answers, func(ctx context.Context, s session, r reader) error {
			return s.way(ctx, r, named("lis", "pathology"), named("lis-bd", "pathology"), "")
		}, "there is no LabWorkload lis-bd in namespace pathology: did you mean lis-db or lis?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := asking(t, &server{answers: c.answers}, c.ask)
			if err == nil || err.Error() != c.want || exitCode(err) != exitUnanswered || s.out.Len() > 0 {
				t.Errorf("%v\n%s, want %s", err, s.out, c.want)
			}
		})
	}
	if _, err := asking(t, &server{answers: answers}, object("..")); err == nil || !strings.HasPrefix(err.Error(), `".." is no name: it may not be`) || exitCode(err) != exitBad {
		t.Error(err)
	}
}

func TestANamespaceThatIsNotThereIsNoEmptyOne(t *testing.T) {
	t.Parallel()
	answers := map[string]any{"GET /api/v1/namespaces?limit=1000": partly("/pathology")}
	for _, path := range []string{"labworkloads", "rolloutrecords"} {
		answers[labPath+"/namespaces/patology/"+path+"?limit=1000"] = map[string]any{"apiVersion": "labguard.dev/v1alpha1", "kind": map[string]string{"labworkloads": "LabWorkloadList", "rolloutrecords": "RolloutRecordList"}[path]}
	}
	for _, path := range []string{"apps/v1/namespaces/patology/deployments", "apps/v1/namespaces/patology/statefulsets", "apps/v1/namespaces/patology/daemonsets", "batch/v1/namespaces/patology/cronjobs"} {
		answers["GET /apis/"+path+"?limit=1000"] = partly()
	}
	for request, kind := range map[string]string{"services": "ServiceList", "pods?limit=1000": "PodList"} {
		answers["GET /api/v1/namespaces/patology/"+request] = map[string]any{"apiVersion": "v1", "kind": kind}
	}
	for _, kind := range []string{"networkpolicies", "ingresses"} {
		answers["GET /apis/networking.k8s.io/v1/namespaces/patology/"+kind] = map[string]any{}
	}
	for name, ask := range map[string]func(context.Context, session, reader) error{
		"status":   func(ctx context.Context, s session, r reader) error { return s.status(ctx, r, "patology", nil, "") },
		"held":     func(ctx context.Context, s session, r reader) error { return s.held(ctx, r, "patology", "") },
		"forecast": func(ctx context.Context, s session, r reader) error { return s.forecast(ctx, r, "patology", 30, "") },
		"plan":     func(ctx context.Context, s session, r reader) error { return s.plan(ctx, r, "patology", "") },
	} {
		s, err := asking(t, &server{answers: answers}, ask)
		if err == nil || err.Error() != "there is no namespace patology: did you mean pathology?" || exitCode(err) != exitUnanswered || s.out.Len()+s.err.Len() > 0 {
			t.Errorf("%s: %v\n%s%s", name, err, s.out, s.err)
		}
	}
}

func TestOneThatIsNotThereIsNotTakenForAMissingKind(t *testing.T) {
	t.Parallel()
	ask := func(ctx context.Context, s session, r reader) error {
		return s.explainObject(ctx, r, &explainOptions{days: 30}, kinds[len(kinds)-1], "pathology", "lis")
	}
	plain := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "404 page not found", http.StatusNotFound) })
	if _, err := asking(t, plain, ask); err == nil || err.Error() != "the cluster serves no rollouts" {
		t.Error(err)
	}
	broken := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) })
	if _, err := asking(t, broken, ask); err == nil || !strings.HasPrefix(err.Error(), "get rollouts in namespace pathology:") {
		t.Error(err)
	}
}

func TestNamesThatAreMuchAlike(t *testing.T) {
	t.Parallel()
	for wrong, want := range map[string]string{
		"lis": "lis lis-db", "lsi": "lis", "": "", "l": "", "interface-engin": "interface-engine", "engine": "interface-engine", "enginee": "", "a\x00b": "",
	} {
		if got := strings.Join(near(wrong, []string{"interface-engine", "lis-db", "lis", "portal"}), " "); got != want {
			t.Errorf("%q: %q, want %q", wrong, got, want)
		}
	}
}

func TestARefusalOfAPolicyIsNotTakenForAMissingRight(t *testing.T) {
	t.Parallel()
	resource := schema.GroupResource{Group: "labguard.dev", Resource: "breakglassuses"}
	refused := apierrors.NewForbidden(resource, "sealed", errors.New("ValidatingAdmissionPolicy 'labguard-uses' denied request: you cannot acknowledge without a second factor"))
	if got := advise("acknowledge", resource.Resource, "pathology", refused).Error(); strings.Contains(got, "ClusterRole") || !strings.Contains(got, "a second factor") {
		t.Error(got)
	}
	missing := apierrors.NewForbidden(resource, "sealed", errors.New(`User "ann" cannot patch resource "breakglassuses" in API group "labguard.dev" in the namespace "pathology"`))
	if got := advise("acknowledge", resource.Resource, "pathology", missing).Error(); !strings.Contains(got, "have somebody bind the ClusterRole labguard-acknowledger to you there") {
		t.Error(got)
	}
}

// Controllers of GitOps take fields away from managers whose names begin with kubectl.
func TestWhatIsWrittenStaysBesideGitOps(t *testing.T) {
	t.Parallel()
	if strings.HasPrefix(fieldManager, "kubectl") || fieldManager == "" {
		t.Error(fieldManager)
	}
}
