// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

const password = "hunter2-very-secret"

// demandBasic has a server refuse whoever does not send a password.
func demandBasic(accepted ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		_, sent, _ := r.BasicAuth()
		if slices.Contains(accepted, sent) {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="lab"`)
		// A careless registry quotes what it was sent.
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"`+sent+`"}]}`, http.StatusUnauthorized)
		return true
	}
}

// demandToken is the token flow of the distribution specification, with the token server on the registry's own host.
func demandToken(t *testing.T, server *fakeRegistry) func(http.ResponseWriter, *http.Request) bool {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			if _, sent, _ := r.BasicAuth(); sent != password {
				http.Error(w, "wrong password "+sent, http.StatusUnauthorized)
				return true
			}
			if got := r.URL.Query().Get("scope"); got != "repository:lis:pull" {
				t.Errorf("scope %q, want pull of one repository and nothing else", got)
			}
			_, _ = fmt.Fprintf(w, `{"token":"token-of-the-day","expires_in":300}`)
			return true
		}
		if r.Header.Get("Authorization") == "Bearer token-of-the-day" {
			return false
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="lab"`, server.URL))
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTheOperatorsCredentialsAreUsed(t *testing.T) {
	for _, flow := range []string{"basic", "token"} {
		for _, source := range []string{"password file", "docker config"} {
			t.Run(flow+" by "+source, func(t *testing.T) {
				server := newFakeRegistry(t)
				digest := server.image("lis", "v1", configAt(built))
				server.intercept = demandBasic(password)
				if flow == "token" {
					server.intercept = demandToken(t, server)
				}
				site := server.site()
				if source == "password file" {
					site.Username, site.PasswordFile = "labguard", writeFile(t, password+"\n")
				} else {
					site.DockerConfigFile = writeFile(t, string(dockerConfigFor(server.host(), "labguard", password)))
				}
				secrets := &fakeSecrets{}
				resolver := running(t, Config{Registries: []RegistryConfig{site}}, secrets, fakeClock())
				query := posture.ImageQuery{Reference: server.host() + "/lis:v1", Namespace: "pathology", PullSecrets: []string{"pull"}}
				if facts := resolve(t, resolver, query); facts.Digest != digest {
					t.Errorf("%+v", facts)
				}
				if secrets.reads != 0 {
					t.Errorf("%d Secrets were read although the operator's credentials do", secrets.reads)
				}
				if got := server.count(""); got > 8 {
					t.Errorf("%d requests, want at most 8", got)
				}
			})
		}
	}
}

func TestRotatedCredentialsAreReadAnew(t *testing.T) {
	server, passive := newFakeRegistry(t), fakeClock()
	server.image("lis", "v1", configAt(built))
	server.intercept = demandBasic(password)
	site := server.site()
	site.Username, site.PasswordFile = "labguard", writeFile(t, "old")
	resolver := running(t, Config{Registries: []RegistryConfig{site}}, nil, passive)
	query := ask(server.host() + "/lis:v1")
	if facts := resolve(t, resolver, query); facts.Unknown != v1alpha1.ReasonCredentialsRejected {
		t.Fatalf("%+v", facts)
	}
	if err := os.WriteFile(site.PasswordFile, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	passive.Step(31 * time.Second)
	if facts := resolve(t, resolver, query); facts.Unknown != "" {
		t.Errorf("after the rotation: %+v", facts)
	}
	if err := os.Remove(site.PasswordFile); err != nil {
		t.Fatal(err)
	}
	if facts := resolve(t, resolver, ask(server.host()+"/lis:v2")); facts.Unknown != v1alpha1.ReasonCredentialsNotReadable {
		t.Errorf("without the file: %+v", facts)
	}
}

func TestPullSecretsAreUsedInTheKubeletsOrder(t *testing.T) {
	const other = "other-secret"
	tests := map[string]struct {
		query    posture.ImageQuery
		secrets  *fakeSecrets
		accepted string
		reason   string
		detail   string
	}{
		"the pod's": {
			query:    posture.ImageQuery{Namespace: "pathology", PullSecrets: []string{"mine"}},
			secrets:  &fakeSecrets{secrets: map[string][]byte{"pathology/mine": dockerConfigFor("HOST", "u", password)}},
			accepted: password,
		},
		"those of the default ServiceAccount": {
			query: posture.ImageQuery{Namespace: "pathology"},
			secrets: &fakeSecrets{
				accounts: map[string][]string{"pathology/default": {"hers"}},
				secrets:  map[string][]byte{"pathology/hers": dockerConfigFor("HOST", "u", password)},
			},
			accepted: password,
		},
		"the next if the first is refused": {
			query: posture.ImageQuery{Namespace: "pathology", ServiceAccount: "lis", PullSecrets: []string{"old", "absent"}},
			secrets: &fakeSecrets{
				accounts: map[string][]string{"pathology/lis": {"new", "old"}},
				secrets: map[string][]byte{
					"pathology/old": dockerConfigFor("HOST", "u", other), "pathology/new": dockerConfigFor("HOST", "u", password),
				},
			},
			accepted: password,
		},
		"refused": {
			query:    posture.ImageQuery{Namespace: "pathology", PullSecrets: []string{"mine"}},
			secrets:  &fakeSecrets{secrets: map[string][]byte{"pathology/mine": dockerConfigFor("HOST", "u", password)}},
			accepted: other, reason: v1alpha1.ReasonCredentialsRejected, detail: "refuses the credentials",
		},
		"for another registry": {
			query:    posture.ImageQuery{Namespace: "pathology", PullSecrets: []string{"mine"}},
			secrets:  &fakeSecrets{secrets: map[string][]byte{"pathology/mine": dockerConfigFor("quay.example", "u", password)}},
			accepted: password, reason: v1alpha1.ReasonCredentialsRejected, detail: "no pull secret",
		},
		"none is named": {
			query: posture.ImageQuery{Namespace: "pathology"}, secrets: &fakeSecrets{},
			accepted: password, reason: v1alpha1.ReasonCredentialsNotReadable, detail: "names a pull secret",
		},
		"not readable": {
			query:    posture.ImageQuery{Namespace: "pathology", PullSecrets: []string{"mine"}},
			secrets:  &fakeSecrets{forbidden: map[string]bool{"pathology": true}},
			accepted: password, reason: v1alpha1.ReasonCredentialsNotReadable,
			detail: "kubectl create rolebinding labguard-pull-secrets --clusterrole=labguard-pull-secret-reader --serviceaccount=labguard-system:labguard -n pathology",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := newFakeRegistry(t)
			digest := server.image("lis", "v1", configAt(built))
			server.intercept = demandBasic(test.accepted)
			for key, content := range test.secrets.secrets {
				test.secrets.secrets[key] = []byte(strings.ReplaceAll(string(content), "HOST", server.host()))
			}
			resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, test.secrets, fakeClock())
			test.query.Reference = server.host() + "/lis:v1"
			facts := resolve(t, resolver, test.query)
			if test.reason == "" && facts.Digest != digest {
				t.Errorf("%+v", facts)
			}
			if facts.Unknown != test.reason || !strings.Contains(facts.Detail, test.detail) || len(facts.Detail) > 300 {
				t.Errorf("%s: %s", facts.Unknown, facts.Detail)
			}
			for _, secret := range []string{password, other} {
				if strings.Contains(fmt.Sprint(facts), secret) {
					t.Errorf("a secret is in the answer: %+v", facts)
				}
			}
			if test.reason == v1alpha1.ReasonCredentialsRejected && test.detail == "refuses the credentials" {
				if diff := cmp.Diff([]string{"pathology"}, test.secrets.forgotten); diff != "" {
					t.Errorf("refused secrets are read anew (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestNoSecretIsReadForAPublicImage(t *testing.T) {
	server := newFakeRegistry(t)
	server.image("lis", "v1", configAt(built))
	secrets := &fakeSecrets{}
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, secrets, fakeClock())
	for i := range 20 {
		query := posture.ImageQuery{Reference: server.host() + "/lis:v1", Namespace: fmt.Sprint("team-", i), PullSecrets: []string{"mine"}}
		if facts := resolve(t, resolver, query); facts.Unknown != "" {
			t.Fatalf("%+v", facts)
		}
	}
	if got := server.count(""); secrets.reads != 0 || got > 4 {
		t.Errorf("%d Secrets read and %d requests for one public image in 20 namespaces", secrets.reads, got)
	}
}

func TestOneNamespacesRefusalIsNotAnothersAnswer(t *testing.T) {
	server, passive := newFakeRegistry(t), fakeClock()
	digest := server.image("lis", "v1", configAt(built))
	server.intercept = demandBasic(password)
	secrets := &fakeSecrets{
		secrets: map[string][]byte{
			"pathology/pull": dockerConfigFor(server.host(), "u", "wrong"), "chemistry/pull": dockerConfigFor(server.host(), "u", password),
		},
		forbidden: map[string]bool{"radiology": true},
	}
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, secrets, passive)
	query := func(namespace, reference string) posture.ImageQuery {
		return posture.ImageQuery{Reference: server.host() + reference, Namespace: namespace, PullSecrets: []string{"pull"}}
	}
	check := func(namespace, want string) {
		t.Helper()
		if got := resolve(t, resolver, query(namespace, "/lis:v1")).Unknown; got != want {
			t.Errorf("%s: %q, want %q", namespace, got, want)
		}
	}
	for range 2 {
		check("pathology", v1alpha1.ReasonCredentialsRejected)
		check("radiology", v1alpha1.ReasonCredentialsNotReadable)
		check("chemistry", "")
	}
	if facts, known := resolver.Lookup(query("pathology", "/lis@"+digest)); !known || facts.Unknown != "" {
		t.Errorf("facts of a digest are for all: known %t, %+v", known, facts)
	}
	// The mended secret counts soon, although the anonymous refusal is remembered for longer.
	secrets.mu.Lock()
	secrets.secrets["pathology/pull"] = dockerConfigFor(server.host(), "u", password)
	secrets.mu.Unlock()
	passive.Step(31 * time.Second)
	check("pathology", "")
}

func TestAThrottledAnonymousPullIsTriedWithThePullSecret(t *testing.T) {
	server := newFakeRegistry(t)
	digest := server.image("lis", "v1", configAt(built))
	server.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if _, sent, _ := r.BasicAuth(); sent == password {
			return false
		}
		if r.URL.Path == "/v2/" {
			w.Header().Set("WWW-Authenticate", `Basic realm="lab"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}
	secrets := &fakeSecrets{secrets: map[string][]byte{"pathology/pull": dockerConfigFor(server.host(), "u", password)}}
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, secrets, fakeClock())
	query := posture.ImageQuery{Reference: server.host() + "/lis:v1", Namespace: "pathology", PullSecrets: []string{"pull"}}
	if facts := resolve(t, resolver, query); facts.Digest != digest {
		t.Errorf("with a pull secret: %+v", facts)
	}
	query.Namespace = "chemistry"
	if facts := resolve(t, resolver, query); facts.Unknown != v1alpha1.ReasonRegistryThrottled {
		t.Errorf("without: %+v", facts)
	}
}

func TestCredentialsDoNotFollowARedirectToAnotherHost(t *testing.T) {
	for _, flow := range []string{"basic", "token"} {
		t.Run(flow, func(t *testing.T) {
			server, storage := newFakeRegistry(t), newFakeRegistry(t)
			digest := server.image("lis", "v1", configAt(built))
			storage.blobs = server.blobs
			var mu sync.Mutex
			var headers []string
			storage.intercept = func(w http.ResponseWriter, r *http.Request) bool {
				mu.Lock()
				headers = append(headers, r.Header.Get("Authorization"))
				mu.Unlock()
				server.mu.Lock()
				defer server.mu.Unlock()
				_, _ = w.Write(server.blobs[strings.TrimPrefix(r.URL.Path, "/storage/")])
				return true
			}
			login := demandBasic(password)
			if flow == "token" {
				login = demandToken(t, server)
			}
			server.intercept = func(w http.ResponseWriter, r *http.Request) bool {
				if login(w, r) {
					return true
				}
				if _, blob, found := strings.Cut(r.URL.Path, "/blobs/"); found {
					w.Header().Set("Location", storage.URL+"/storage/"+blob)
					w.WriteHeader(http.StatusTemporaryRedirect)
					return true
				}
				return false
			}
			site := server.site()
			site.Username, site.PasswordFile = "labguard", writeFile(t, password)
			resolver := running(t, Config{Registries: []RegistryConfig{site, storage.site()}}, nil, fakeClock())
			if facts := resolve(t, resolver, ask(server.host()+"/lis:v1")); facts.Digest != digest {
				t.Fatalf("%+v", facts)
			}
			mu.Lock()
			defer mu.Unlock()
			if diff := cmp.Diff([]string{""}, headers); diff != "" {
				t.Errorf("Authorization headers at the storage (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPullSecretsGoToTheRegistryAndToNoMirror(t *testing.T) {
	server, mirror := newFakeRegistry(t), newFakeRegistry(t)
	server.image("lis", "v1", configAt(built))
	server.intercept = demandBasic(password)
	mirror.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if header := r.Header.Get("Authorization"); header != "" {
			t.Errorf("the mirror was sent %s", header)
		}
		return demandBasic(password)(w, r)
	}
	site := server.site()
	site.Mirrors = []string{mirror.host()}
	secrets := &fakeSecrets{secrets: map[string][]byte{"pathology/pull": dockerConfigFor(server.host(), "u", password)}}
	resolver := running(t, Config{Registries: []RegistryConfig{site, mirror.site()}}, secrets, fakeClock())
	query := posture.ImageQuery{Reference: server.host() + "/lis:v1", Namespace: "pathology", PullSecrets: []string{"pull"}}
	if facts := resolve(t, resolver, query); facts.Unknown != "" {
		t.Errorf("%+v", facts)
	}
}
