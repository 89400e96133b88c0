// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// fault is a registry that misbehaves, and what is to be said about its images.
type fault struct {
	serve  http.HandlerFunc
	reason string
	detail string
}

const ociManifest = "application/vnd.oci.image.manifest.v1+json"

// manifest answers HEAD and GET of a manifest; said is the digest that is said of it.
func manifest(said string, body io.ReadSeeker) http.HandlerFunc {
	size, _ := body.Seek(0, io.SeekEnd)
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			return
		}
		w.Header().Set("Content-Type", ociManifest)
		w.Header().Set("Docker-Content-Digest", said)
		w.Header().Set("Content-Length", fmt.Sprint(size))
		if r.Method == http.MethodGet {
			_, _ = io.Copy(w, io.NewSectionReader(body.(io.ReaderAt), 0, size)) // labguard may hang up
		}
	}
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if to == "" {
			answer(http.StatusFound, "Location", r.URL.Path)(w, r)
			return
		}
		answer(http.StatusFound, "Location", to)(w, r)
	}
}

func answer(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

func faults() map[string]fault {
	huge := strings.NewReader(strings.Repeat(" ", 100<<20))
	return map[string]fault{
		"does not answer":        {nil, v1alpha1.ReasonRegistryUnreachable, "no connection to registry"},
		"wants credentials":      {answer(401, "WWW-Authenticate", `Basic realm="lab"`), v1alpha1.ReasonCredentialsNotReadable, "wants credentials"},
		"limits requests":        {answer(429), v1alpha1.ReasonRegistryThrottled, "429"},
		"sends 100 MB":           {manifest(digestOf("huge"), huge), v1alpha1.ReasonInvalidImage, "more than"},
		"sends no JSON":          {manifest(digestOf("{no json"), strings.NewReader("{no json")), v1alpha1.ReasonInvalidImage, "cannot be parsed"},
		"sends something else":   {manifest(digestOf("else"), strings.NewReader(`{"schemaVersion":2}`)), v1alpha1.ReasonInvalidImage, "not the one that the digest names"},
		"redirects in a circle":  {redirect(""), v1alpha1.ReasonRegistryUnreachable, "too many redirects"},
		"redirects to the cloud": {redirect("https://169.254.169.254/latest"), v1alpha1.ReasonRegistryAddressRefused, "link-local"},
	}
}

// serve listens on loopback; without a handler it has stopped to.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	if handler == nil {
		server.Close()
	} else {
		t.Cleanup(server.Close)
	}
	return server.Listener.Addr().String()
}

// meant is the entry of the configuration for a registry that is meant to be on loopback.
func meant(host string) string {
	return fmt.Sprintf("- {host: %q, insecure: true, allowedAddresses: [127.0.0.0/8]}\n", host)
}

// TestBadInput has registries do to the operator what registries do. The rules of the API about bad specs are tested at internal/apivalidation.
func TestBadInput(t *testing.T) {
	configuration, all, hosts := operator.Configuration(), faults(), map[string]string{}
	for name, one := range all {
		hosts[name] = serve(t, one.serve)
		configuration += meant(hosts[name])
	}
	guarded := basic(t)
	configuration += meant(guarded)
	operator.Start(t, operator.Options{Configuration: configuration})
	t.Run("each in a namespace of its own", func(t *testing.T) {
		for name, one := range all {
			t.Run("a registry that "+name+" is a clear Unknown", func(t *testing.T) {
				t.Parallel()
				unknown(t, hosts[name]+"/lab/lis", one.reason, one.detail)
			})
		}
		t.Run("what is no reference is a clear Unknown", func(t *testing.T) {
			t.Parallel()
			unknown(t, "Registry.Example/LIS:", v1alpha1.ReasonInvalidReference, "")
		})
		t.Run("pull secrets are read where the team has bound the role, and nowhere else", func(t *testing.T) {
			t.Parallel()
			pullSecrets(t, guarded)
		})
		t.Run("a stale image is refused and a fresh one let in meanwhile", func(t *testing.T) {
			t.Parallel()
			stillServing(t)
		})
	})
	t.Run("a stale image is refused and a fresh one let in afterwards", stillServing)
}

func stillServing(t *testing.T) {
	l := newLab(t)
	l.govern("lis")
	l.mayNot([]string{"is stale"}, "create", "-f", l.file(deployment("lis", operator.Push(t, "lab/bad:stale", 200*day))))
	l.apply(deployment("lis", operator.Push(t, "lab/bad:fresh", 10*day)))
	l.condition("lis", v1alpha1.ConditionImagesFresh, metav1.ConditionTrue, v1alpha1.ReasonImageFresh)
}

// unknown has a workload with an image of unknown age before enforcement, and another that brings one afterwards.
func unknown(t *testing.T, repository, reason, detail string) {
	l := newLab(t)
	l.apply(deployment("lis", repository+":1"))
	l.govern("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Images.OnUnknownAge = v1alpha1.OnStaleDeny })
	l.says("lis", repository+":1", reason)
	found := l.condition("lis", v1alpha1.ConditionImagesFresh, metav1.ConditionUnknown, v1alpha1.ReasonImageAgeUnknown)
	if !strings.Contains(found.Message, reason) {
		t.Errorf("the condition does not say %s: %s", reason, found.Message)
	}
	l.mayNot([]string{reason, detail, repository}, "create", "-f", l.file(strings.ReplaceAll(deployment("lis2", repository+":2"), "app: lis2", "app: lis")))
	l.may("rollout", "restart", "deployment/lis") // what runs goes on
}

// says waits until the status gives a reason for an image of unknown age.
func (l *lab) says(workload, reference, reason string) {
	l.Helper()
	operator.Eventually(l, "the status says "+reason, func() error {
		for _, image := range status(l, workload).Images {
			if image.Reference == reference && image.Answer == "Unknown" && image.Reason == reason {
				return nil
			}
		}
		return fmt.Errorf("it says %+v", status(l, workload).Images)
	})
}

const password = "a-password-of-a-test"

// basic is a registry that wants a password, with one fresh image.
func basic(t *testing.T) string {
	t.Helper()
	behind := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, sent, _ := r.BasicAuth(); sent != password {
			answer(401, "WWW-Authenticate", `Basic realm="lab"`)(w, r)
			return
		}
		behind.ServeHTTP(w, r)
	})
	reference, err := name.ParseReference(host+"/lab/private:1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.CreatedAt(empty.Image, v1.Time{Time: time.Now().Add(-10 * day)})
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference, image, remote.WithAuth(&authn.Basic{Username: "lab", Password: password})); err != nil {
		t.Fatal(err)
	}
	return host
}

func pullSecrets(t *testing.T, host string) {
	l := newLab(t)
	reference := host + "/lab/private:1"
	encoded, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"username": "lab", "password": password}}})
	if err != nil {
		t.Fatal(err)
	}
	l.kubectl("create", "secret", "generic", "registry", "-n", l.namespace, "--type=kubernetes.io/dockerconfigjson", "--from-file=.dockerconfigjson="+l.file(string(encoded)))
	workload := strings.ReplaceAll(deployment("lis", reference), "spec: {containers", "spec: {imagePullSecrets: [{name: registry}], containers")
	l.govern("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Images.OnUnknownAge = v1alpha1.OnStaleDeny })
	command := "create rolebinding labguard-pull-secrets --clusterrole=labguard-pull-secret-reader --serviceaccount=labguard-system:labguard -n " + l.namespace
	l.mayNot([]string{v1alpha1.ReasonCredentialsNotReadable, "kubectl " + command}, "create", "-f", l.file(workload))
	l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Images.OnUnknownAge = v1alpha1.OnStaleWarn })
	l.ready("lis")
	operator.Eventually(l, "a warning only", func() error {
		_, err := l.tenant("create", "-f", l.file(workload))
		return err
	})
	l.says("lis", reference, v1alpha1.ReasonCredentialsNotReadable)
	l.kubectl(strings.Fields(command)...)
	// The failure is remembered for half a minute. Whoever asks then gets the answer, and the report with it.
	l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Images.OnUnknownAge = v1alpha1.OnStaleDeny })
	operator.Eventually(l, "the image is known", func() error {
		_, err := l.tenant("create", "--dry-run=server", "-f", l.file(strings.ReplaceAll(workload, "metadata: {name: lis}", "metadata: {name: again}")))
		return err
	})
	l.condition("lis", v1alpha1.ConditionImagesFresh, metav1.ConditionTrue, v1alpha1.ReasonImageFresh)
}
