// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	controllerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	webhook "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/imagerecord"
	"github.com/labguard/labguard/internal/admission"
	"github.com/labguard/labguard/internal/registry"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/distribution"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// admissions is how often each replica is asked; wait is the budget of a request.
const (
	admissions = 15_000
	wait       = 2 * time.Second
)

// replica is what of labguard answers admission, in this process: webhooks, registry adapter, and the records of the cluster by its own caches.
type replica struct {
	*testing.T
	gate      *admission.Gate
	namespace string
	store     *imagerecord.Store
}

func newReplica(t *testing.T, namespace string, sites ...registry.RegistryConfig) *replica {
	t.Helper()
	anew := true
	manager, err := ctrl.NewManager(cluster.Config(), ctrl.Options{
		Scheme: clientFor(t, cluster.Config()).Scheme(), Metrics: metricsserver.Options{BindAddress: "0"}, Controller: controllerconfig.Controller{SkipNameValidation: &anew},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := imagerecord.IndexFields(t.Context(), manager.GetFieldIndexer()); err != nil {
		t.Fatal(err)
	}
	store := imagerecord.NewStore(manager.GetClient(), manager.GetClient(), clock.RealClock{})
	resolver, err := registry.New(registry.Config{Registries: sites, Records: store}, nil, clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	views := admission.NewViews(manager.GetClient())
	if err := views.Watch(t.Context(), manager.GetCache()); err != nil {
		t.Fatal(err)
	}
	for _, part := range []interface{ Start(context.Context) error }{store, resolver} {
		if err := manager.Add(part); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the replica ends: %v", err)
		}
	})
	if !manager.GetCache().WaitForCacheSync(ctx) {
		t.Fatal("the caches of the replica are not filled")
	}
	return &replica{
		T: t, namespace: namespace, store: store,
		gate: &admission.Gate{Reader: views, Facts: resolver, Clock: clock.RealClock{}, Wait: wait, User: "system:serviceaccount:labguard-system:labguard"},
	}
}

// ask sends the CREATE of a Deployment to the mutating webhook. It says whether the image was admitted, and how long that took.
func (r *replica) ask(image string) (admitted bool, took time.Duration) {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "lis", Namespace: r.namespace}, Spec: appsv1.DeploymentSpec{
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "lis"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "lis", Image: image}}},
		},
	}}
	raw, err := json.Marshal(deployment)
	if err != nil {
		r.Error(err)
	}
	request := webhook.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: "1", Kind: metav1.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, Namespace: r.namespace, Name: "lis", Operation: admissionv1.Create,
	}}
	request.Object.Raw = raw
	begun := time.Now()
	answer := r.gate.Mutating().Handle(r.Context(), request)
	return len(answer.Patches) > 0, time.Since(begun)
}

// askOften asks from 16 goroutines at once, and fails the test unless the image is admitted each time.
func (r *replica) askOften(image string) {
	r.Helper()
	const askers = 16
	var asking sync.WaitGroup
	var refused atomic.Int64
	for range askers {
		asking.Go(func() {
			for range admissions / askers {
				if admitted, _ := r.ask(image); !admitted {
					refused.Add(1)
				}
			}
		})
	}
	asking.Wait()
	if refused.Load() > 0 {
		r.Errorf("%s was not admitted %d times", image, refused.Load())
	}
}

// recorded waits until a replica reads a digest from its caches.
func (r *replica) recorded(digest string) {
	r.Helper()
	operator.Eventually(r, "the record of "+digest, func() error {
		if _, found := r.store.Content(digest); !found {
			return fmt.Errorf("there is none")
		}
		return nil
	})
}

func siteOf(t *testing.T, host string) registry.RegistryConfig {
	t.Helper()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(distribution.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	return registry.RegistryConfig{
		Host: host, Insecure: true, AllowedAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Username: distribution.Username, PasswordFile: password,
	}
}

// imageOf was made some time ago; no two are the same.
func imageOf(t *testing.T, architecture string, ago time.Duration, label string) v1.Image {
	t.Helper()
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: "linux", Architecture: architecture, Created: v1.Time{Time: time.Now().Add(-ago)}, Config: v1.Config{Labels: map[string]string{"label": label}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// governed is a namespace with a LabWorkload for app=lis that takes nothing of unknown age.
func governed(t *testing.T) string {
	l := newLab(t)
	l.declare("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Images.OnUnknownAge = v1alpha1.OnStaleDeny })
	return l.namespace
}

// TestFifteenThousandAdmissions counts at the reference implementation of a registry, which wants a token.
func TestFifteenThousandAdmissions(t *testing.T) {
	server := distribution.Start(t)
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: imageOf(t, "arm64", day, "a"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
		mutate.IndexAddendum{Add: imageOf(t, "amd64", day, "a"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	digest := server.Push(t, "lab/lis:1", index)
	namespace := governed(t)
	first, second := newReplica(t, namespace, siteOf(t, server.Host())), newReplica(t, namespace, siteOf(t, server.Host()))
	requests := func() int64 { return server.Requests() }

	before := requests()
	first.askOften(server.Host() + "/lab/lis:1")
	cost := requests() - before
	t.Logf("a replica that knows nothing: %d admissions, %d requests to the registry: %q", admissions, cost, server.Log()[before:])
	if cost > 8 {
		t.Errorf("%d requests, want at most 8", cost)
	}
	second.recorded(digest)
	before = requests()
	second.askOften(server.Host() + "/lab/lis@" + digest)
	t.Logf("a replica that has the record: %d admissions, %d requests to the registry", admissions, requests()-before)
	restarted := newReplica(t, namespace, siteOf(t, server.Host()))
	restarted.recorded(digest)
	restarted.askOften(server.Host() + "/lab/lis@" + digest)
	if cost := requests() - before; cost > 0 {
		t.Errorf("replicas that have the record made %d requests: %q", cost, server.Log()[before:])
	}
	var records v1alpha1.ImageRecordList
	if err := clientFor(t, cluster.Config()).List(t.Context(), &records); err != nil {
		t.Fatal(err)
	}
	found := 0
	for i := range records.Items {
		if records.Items[i].Spec.Digest == digest {
			found++
		}
	}
	if found != 1 {
		t.Errorf("the cluster has %d records of the index", found)
	}
}

// TestARegistryInABadMood: what is known is admitted as ever; what is not costs the budget of one request once, however many ask.
func TestARegistryInABadMood(t *testing.T) {
	namespace := governed(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	always := func(answer http.HandlerFunc) func(http.Handler) http.Handler {
		return func(http.Handler) http.Handler { return answer }
	}
	for name, mood := range map[string]func(*distribution.Registry){
		"slow by 100 ms": func(server *distribution.Registry) { server.Behave(slow) },
		"refused":        func(server *distribution.Registry) { server.Stop() },
		"502": func(server *distribution.Registry) {
			server.Behave(always(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
		},
		"silent": func(server *distribution.Registry) {
			server.Behave(always(func(_ http.ResponseWriter, request *http.Request) {
				select {
				case <-release:
				case <-request.Context().Done():
				}
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := distribution.Start(t)
			server.Push(t, "lab/known:1", imageOf(t, "amd64", day, name))
			r := newReplica(t, namespace, siteOf(t, server.Host()))
			known := server.Host() + "/lab/known:1"
			if admitted, _ := r.ask(known); !admitted {
				t.Fatal("in a good mood the image is not admitted")
			}
			mood(server)
			var unknown, longest time.Duration
			for i := range 20 {
				if admitted, took := r.ask(known); !admitted || took > wait/4 {
					t.Errorf("what is known: admitted %t after %s", admitted, took)
				}
				_, took := r.ask(fmt.Sprintf("%s/lab/unknown:%d", server.Host(), i))
				unknown, longest = unknown+took, max(longest, took)
			}
			t.Logf("20 images that nobody knows: %s together, %s the longest", unknown.Round(time.Millisecond), longest.Round(time.Millisecond))
			if longest > wait+time.Second {
				t.Errorf("one request took %s, and its budget is %s", longest, wait)
			}
			if name != "slow by 100 ms" && unknown > wait+time.Second {
				t.Errorf("they cost %s, and the budget is %s once", unknown, wait)
			}
		})
	}
}

// slow answers 100 ms later.
func slow(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		timer := time.NewTimer(100 * time.Millisecond)
		defer timer.Stop()
		<-timer.C
		next.ServeHTTP(w, request)
	})
}
