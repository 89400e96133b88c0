// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// recorder is a labguard that is up, allows everything and remembers what it was asked.
type recorder struct {
	mutex sync.Mutex
	calls []call
}

// call is one question.
type call struct {
	Path, Operation, Resource, Name string
}

// live starts a recorder and installs webhooks that reach it; it returns when they are in effect.
func (l lab) live() *recorder {
	l.Helper()
	r := &recorder{}
	server := httptest.NewTLSServer(r)
	l.Cleanup(server.Close)
	config := l.config(server.URL)
	config.CABundle = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	l.installWebhooks(config)
	l.Eventually("the API server asks", func(ctx context.Context) (bool, error) {
		err := l.probe(ctx)
		seen := r.take()
		return slices.ContainsFunc(seen, func(c call) bool { return strings.HasPrefix(c.Path, "/mutate") }) &&
			slices.ContainsFunc(seen, func(c call) bool { return strings.HasPrefix(c.Path, "/validate") }), err
	})
	return r
}

// ServeHTTP allows what it is asked about.
func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(request.Body).Decode(&review); err != nil || review.Request == nil {
		http.Error(w, "no review", http.StatusBadRequest)
		return
	}
	asked := review.Request
	resource := asked.Resource.Resource
	if asked.SubResource != "" {
		resource += "/" + asked.SubResource
	}
	r.mutex.Lock()
	r.calls = append(r.calls, call{request.URL.Path, string(asked.Operation), resource, asked.Name})
	r.mutex.Unlock()
	review.Response = &admissionv1.AdmissionResponse{UID: asked.UID, Allowed: true, Warnings: []string{"seen by " + request.URL.Path}}
	review.Request = nil
	if err := json.NewEncoder(w).Encode(review); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// take gives the questions since the last time.
func (r *recorder) take() []call {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

func TestBothWebhooksAreAskedOnceForEachRoot(t *testing.T) {
	l := newLab(t)
	r := l.live()
	for _, k := range allKinds {
		t.Run(k.kind, func(t *testing.T) {
			l := l.in(t)
			l.Must(l.create(l.Tenant, k, k.object("app-"+k.Resource, imageOne)))
			want := []call{
				{"/mutate-rollouts", "CREATE", k.Resource, "app-" + k.Resource},
				{"/validate-rollouts", "CREATE", k.Resource, "app-" + k.Resource},
			}
			if diff := cmp.Diff(want, r.take()); diff != "" {
				t.Errorf("questions (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("what the controllers made of them is not asked about", func(t *testing.T) {
		l := l.in(t)
		l.awaitChildren(pods, "app-deployments", 1)
		l.awaitChildren(pods, "app-statefulsets", 1)
		if calls := r.take(); len(calls) > 0 {
			t.Errorf("asked: %v", calls)
		}
	})
	t.Run("a new image is asked about", func(t *testing.T) {
		l := l.in(t)
		for _, k := range append([]kind{pods}, changeable...) {
			l.Must(l.patch(l.Tenant, k, "app-"+k.Resource, k.withImage(imageTwo)))
			if calls := r.take(); len(calls) != 2 || calls[0].Operation != "UPDATE" || calls[1].Resource != k.Resource {
				t.Errorf("asked about %s: %v", k.kind, calls)
			}
		}
	})
}

// With generateName the mutating webhook does not know the name (finding F7).
func TestGeneratedNameIsKnownToTheValidatingWebhookOnly(t *testing.T) {
	l := newLab(t)
	r := l.live()
	object := jobs.object("", imageOne)
	object.SetName("")
	object.SetGenerateName("nightly-")
	l.Must(l.create(l.Tenant, jobs, object))
	calls := r.take()
	if len(calls) != 2 || calls[0].Path != "/mutate-rollouts" || calls[1].Path != "/validate-rollouts" {
		t.Fatalf("asked: %v", calls)
	}
	if calls[0].Name != "" {
		t.Errorf("the mutating webhook is given the name %q: records could go by it", calls[0].Name)
	}
	if !strings.HasPrefix(calls[1].Name, "nightly-") {
		t.Errorf("the validating webhook is given the name %q", calls[1].Name)
	}
}

func TestDebugContainerIsToldToTheValidatingWebhookOnly(t *testing.T) {
	l := newLab(t)
	l.Must(l.create(l.Tenant, pods, pods.object("app", imageOne)))
	r := l.live()
	l.Allow(l.Tenant, "", "pods/ephemeralcontainers", "patch", "update")
	debug := func(name string) error {
		return l.patch(l.Tenant, pods, "app",
			`{"spec":{"ephemeralContainers":[{"name":"`+name+`","image":"registry.example/debug"}]}}`, "ephemeralcontainers")
	}
	l.Must(debug("one"))
	want := []call{{"/validate-rollouts", "UPDATE", "pods/ephemeralcontainers", "app"}}
	if diff := cmp.Diff(want, r.take()); diff != "" {
		t.Errorf("questions (-want +got):\n%s", diff)
	}
}

func TestWritesWithoutNewImagesAreNotAskedAbout(t *testing.T) {
	l := newLab(t)
	r := l.live()
	for _, k := range changeable {
		name := "app-" + k.Resource
		l.Must(l.create(l.Tenant, k, k.object(name, imageOne)))
		r.take()
		l.Must(l.patch(l.Tenant, k, name, `{"metadata":{"labels":{"shift":"night"}}}`))
		l.Must(l.patch(l.Tenant, k, name, k.at(`{"containers":[{"name":"app","env":[{"name":"A","value":"b"}]}]}`)))
		if calls := r.take(); len(calls) > 0 {
			t.Errorf("asked about %s: %v", k.kind, calls)
		}
	}
}

// The anchor is what an uninstall deletes (finding B1).
func TestDeletingTheAnchorOpensTheGate(t *testing.T) {
	l := newLab(t)
	config := l.config(deadEndpoint)
	config.AnchorName = "labguard-webhook-anchor." + l.Namespace
	config.AnchorUID = l.anchor(config.AnchorName)
	l.installWebhooks(config)
	l.Eventually("the gate closes", func(ctx context.Context) (bool, error) { return l.probe(ctx) != nil, nil })
	l.Must(l.Typed("").RbacV1().ClusterRoles().Delete(t.Context(), config.AnchorName, metav1.DeleteOptions{}))
	l.Eventually("the gate opens", func(ctx context.Context) (bool, error) { return l.probe(ctx) == nil, nil })
	_, err := l.Typed("").AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), "labguard-rollouts."+l.Namespace, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the configuration is still there: %v", err)
	}
}
