// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// apiServer knows one token, and one user who may get /metrics.
func apiServer(down string) (*fake.Clientset, *[]authorizationv1.SubjectAccessReviewSpec) {
	asked := &[]authorizationv1.SubjectAccessReviewSpec{}
	client := fake.NewClientset()
	client.PrependReactor("create", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if action.GetResource().Resource == down {
			return true, nil, errors.New("the API server is away")
		}
		switch object := action.(clienttesting.CreateAction).GetObject().(type) {
		case *authenticationv1.TokenReview:
			users := map[string]string{"good": "prometheus", "weak": "jane"}
			user, known := users[object.Spec.Token]
			object.Status.Authenticated, object.Status.User.Username, object.Status.User.Groups = known, user, []string{"system:authenticated"}
			object.Status.User.Extra = map[string]authenticationv1.ExtraValue{"scope": {"a"}}
			if object.Spec.Token == "doubtful" {
				object.Status.Authenticated, object.Status.Error = true, "the audience is another"
			}
			return true, object, nil
		case *authorizationv1.SubjectAccessReview:
			*asked = append(*asked, object.Spec)
			object.Status.Allowed = object.Spec.User == "prometheus"
			return true, object, nil
		}
		return false, nil, nil
	})
	return client, asked
}

func TestOnlyWhoMayGetTheMetricsGetsThem(t *testing.T) {
	tests := map[string]struct {
		authorization, down string
		want                int
	}{
		"who has the right":                        {"Bearer good", "", http.StatusOK},
		"whose client writes bearer":               {"bearer good", "", http.StatusOK},
		"who has a token and no right":             {"Bearer weak", "", http.StatusForbidden},
		"whose token nobody knows":                 {"Bearer bad", "", http.StatusUnauthorized},
		"whose token the API server doubts":        {"Bearer doubtful", "", http.StatusUnauthorized},
		"who has nothing":                          {"", "", http.StatusUnauthorized},
		"who has an empty token":                   {"Bearer  ", "", http.StatusUnauthorized},
		"who has a password":                       {"Basic good", "", http.StatusUnauthorized},
		"while nobody can say whose a token is":    {"Bearer good", "tokenreviews", http.StatusInternalServerError},
		"while nobody can say who has which right": {"Bearer good", "subjectaccessreviews", http.StatusInternalServerError},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			client, asked := apiServer(test.down)
			doorkeeper := &scrapers{tokens: client.AuthenticationV1().TokenReviews(), rights: client.AuthorizationV1().SubjectAccessReviews()}
			handler, err := doorkeeper.filter(logr.Discard(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte("labguard_things_total 1"))
			}))
			if err != nil {
				t.Fatal(err)
			}
			request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			if test.authorization != "" {
				request.Header.Set("Authorization", test.authorization)
			}
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			if answer.Code != test.want || (answer.Body.String() == "labguard_things_total 1") != (test.want == http.StatusOK) {
				t.Errorf("got %d %s, want %d", answer.Code, answer.Body, test.want)
			}
			if test.want != http.StatusOK {
				return
			}
			want := []authorizationv1.SubjectAccessReviewSpec{{
				User: "prometheus", Groups: []string{"system:authenticated"}, Extra: map[string]authorizationv1.ExtraValue{"scope": {"a"}},
				NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/metrics", Verb: "get"},
			}}
			if diff := cmp.Diff(want, *asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}
