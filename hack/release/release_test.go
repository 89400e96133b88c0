// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/labguard/labguard/hack/release/source"
	"github.com/labguard/labguard/hack/release/spdx"
)

// login has tests read with the logins that the command pushes with.
var login = remote.WithAuthFromKeychain(authn.DefaultKeychain)

// must returns a value that there has to be.
func must[T any](value T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func pulled(t *testing.T, host, reference string) (name.Digest, v1.ImageIndex) {
	t.Helper()
	digest := must(name.NewDigest(host + "/" + reference))(t)
	return digest, must(remote.Index(digest, remote.WithContext(t.Context())))(t)
}

func TestImagesArePushedWithWhatIsInThem(t *testing.T) {
	dir, host := labguard(t), serve(t, true)
	references := release(t, dir, host, "-push")
	for i, program := range programs() {
		t.Run(program.Name, func(t *testing.T) {
			digest, index := pulled(t, host, references[i])
			if err := validate.Index(index); err != nil {
				t.Error(err)
			}
			manifest := must(index.IndexManifest())(t)
			annotations := manifest.Annotations
			if annotations["org.opencontainers.image.created"] != "2026-03-04T05:06:07Z" || annotations["org.opencontainers.image.source"] != "https://example.invalid/labguard" ||
				annotations["org.opencontainers.image.title"] != "labguard "+program.Name || annotations["org.opencontainers.image.licenses"] != "Apache-2.0" {
				t.Errorf("annotations of the index: %v", annotations)
			}
			version := annotations["org.opencontainers.image.version"]
			if want := "v0.0.0-20260304050607-" + annotations["org.opencontainers.image.revision"][:12]; version != want {
				t.Errorf("version %s, want %s", version, want)
			}
			if tagged := must(remote.Head(digest.Tag(version)))(t); tagged.Digest.String() != digest.DigestStr() {
				t.Errorf("the tag %s is %s, want %s", version, tagged.Digest, digest.DigestStr())
			}
			var platforms []string
			for _, one := range manifest.Manifests {
				platforms = append(platforms, one.Platform.String())
				checkImage(t, digest.Context(), program, one, annotations)
			}
			if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, platforms); diff != "" {
				t.Errorf("platforms (-want +got):\n%s", diff)
			}
		})
	}
}

// checkImage looks at the image for one platform as it is in the registry.
func checkImage(t *testing.T, repository name.Repository, program program, described v1.Descriptor, annotations map[string]string) {
	t.Helper()
	digest := repository.Digest(described.Digest.String())
	image := must(remote.Image(digest))(t)
	if err := validate.Image(image); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(annotations, must(image.Manifest())(t).Annotations); diff != "" {
		t.Errorf("%s has other annotations than the index (-index +image):\n%s", described.Platform, diff)
	}
	config := must(image.ConfigFile())(t)
	user := map[string]string{"manager": "65532:65532", "airlock": "64000:64000"}[program.Name]
	if !config.Platform().Equals(*described.Platform) || config.Config.User != user || !slices.Equal(config.Config.Entrypoint, []string{"/" + program.Name}) {
		t.Errorf("%s is %s as %s with %v", described.Platform, config.Platform(), config.Config.User, config.Config.Entrypoint)
	}
	archive := tar.NewReader(mutate.Extract(image))
	must(archive.Next())(t)
	content := must(io.ReadAll(archive))(t)
	if strings.Contains(string(content), os.TempDir()+"/") {
		t.Errorf("the program for %s knows where it was compiled", described.Platform)
	}
	build := must(buildinfo.Read(bytes.NewReader(content)))(t)
	document := listed(t, digest)
	versions := map[string]string{}
	for _, p := range document.Packages {
		versions[p.Name] = p.VersionInfo
	}
	for _, module := range append(build.Deps, &build.Main) {
		if versions[module.Path] != module.Version {
			t.Errorf("%s %s is listed with version %q", module.Path, module.Version, versions[module.Path])
		}
	}
	if len(build.Deps) != 1 || len(versions) != len(build.Deps)+3 {
		t.Errorf("the list has %v, and the program %d modules", versions, len(build.Deps))
	}
	if sum := document.Packages[0].Checksums[0].Value; sum != described.Digest.Hex {
		t.Errorf("the list is about %s, want %s", sum, described.Digest.Hex)
	}
}

// listed asks the Referrers API for the list of what is in an image.
func listed(t *testing.T, image name.Digest) spdx.Document {
	t.Helper()
	// The registry of these tests says the type of the configuration where it should say the type of the artifact, so it is not asked to filter.
	referrers := must(must(remote.Referrers(image, login))(t).IndexManifest())(t).Manifests
	if len(referrers) != 1 {
		t.Fatalf("%d artifacts refer to %s", len(referrers), image)
	}
	artifact := must(remote.Image(image.Context().Digest(referrers[0].Digest.String()), login))(t)
	if kind := must(artifact.Manifest())(t).ArtifactType; kind != spdx.MediaType {
		t.Errorf("the type of the artifact is %q", kind)
	}
	layers := must(artifact.Layers())(t)
	content := must(io.ReadAll(must(layers[0].Compressed())(t)))(t)
	var document spdx.Document
	if err := json.Unmarshal(content, &document); err != nil {
		t.Fatal(err)
	}
	return document
}

func TestOtherMachineMakesTheSameImages(t *testing.T) {
	dir := labguard(t)
	first := release(t, dir, "registry.example")
	worktree := filepath.Join(t.TempDir(), "elsewhere")
	gitDo(t, dir, "worktree", "add", "--quiet", "--detach", worktree)
	// Settings of somebody else, in a hook of git.
	for key, value := range map[string]string{
		"GOFLAGS": "-buildvcs=false -tags=other -ldflags=-X=main.a=b", "GOAMD64": "v3", "CGO_ENABLED": "1", "GOOS": "windows", "TZ": "Asia/Tokyo", "GIT_DIR": "/nowhere",
	} {
		t.Setenv(key, value)
	}
	// An ignored file that Go would compile.
	put(t, worktree, "bin/embedded.go", "package bin\n")
	if second := release(t, worktree, "registry.example"); !slices.Equal(first, second) {
		t.Errorf("got %v, and elsewhere %v", first, second)
	}
}

func TestPushingAgainChangesNothingAndPushingOthersUnderTheTagIsRefused(t *testing.T) {
	dir, host := labguard(t), serve(t, true)
	first := release(t, dir, host, "-push")
	if again := release(t, dir, host, "-push"); !slices.Equal(first, again) {
		t.Errorf("first %v, then %v", first, again)
	}
	// Another set of platforms is another image of the same version.
	err := run(t.Context(), []string{"-C", dir, "-repository", host + "/labguard", "-output", t.TempDir(), "-platforms", "linux/amd64", "-push"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "already") || !strings.Contains(err.Error(), "other platforms?") {
		t.Errorf("got %v, want a refusal to move the tag", err)
	}
	digest, _ := pulled(t, host, first[0])
	for _, tag := range must(remote.List(digest.Context()))(t) {
		if found := must(remote.Head(digest.Context().Tag(tag)))(t); found.Digest.String() != digest.DigestStr() {
			t.Errorf("the tag %s was moved to %s", tag, found.Digest)
		}
	}
}

func TestRegistryWithoutReferrersAPIGetsTheTagThatStandsForIt(t *testing.T) {
	dir, host := labguard(t), serve(t, false)
	references := release(t, dir, host, "-push", "-platforms", "linux/amd64")
	digest, index := pulled(t, host, references[0])
	image := must(index.IndexManifest())(t).Manifests[0].Digest
	if tags := must(remote.List(digest.Context()))(t); !slices.Contains(tags, strings.ReplaceAll(image.String(), ":", "-")) {
		t.Errorf("tags are %v", tags)
	}
	if document := listed(t, digest.Context().Digest(image.String())); document.Packages[0].Name != "manager" {
		t.Errorf("the list is about %s", document.Packages[0].Name)
	}
}

func TestLayoutHasTheSameImagesAndLists(t *testing.T) {
	dir := labguard(t)
	references := release(t, dir, "registry.example")
	// What is there already is replaced, and not added to.
	release(t, dir, "registry.example")
	folder := filepath.Join(dir, "dist", "images", "manager")
	entries := must(must(layout.ImageIndexFromPath(folder))(t).IndexManifest())(t).Manifests
	if len(entries) != 3 || "labguard/manager@"+entries[0].Digest.String() != references[0] {
		t.Fatalf("the layout has %+v, want %s and two lists", entries, references[0])
	}
	version := entries[0].Annotations["org.opencontainers.image.ref.name"]
	if full := entries[0].Annotations["io.containerd.image.name"]; full != "registry.example/labguard/manager:"+version {
		t.Errorf("the image has the name %s", full)
	}
	path := must(layout.FromPath(folder))(t)
	if err := validate.Index(must(must(layout.ImageIndexFromPath(folder))(t).ImageIndex(entries[0].Digest))(t)); err != nil {
		t.Error(err)
	}
	for i, platform := range []string{"amd64", "arm64"} {
		list := must(path.Image(entries[i+1].Digest))(t)
		if entries[i+1].ArtifactType != spdx.MediaType {
			t.Errorf("entry %d has the type %q", i+1, entries[i+1].ArtifactType)
		}
		in := must(io.ReadAll(must(must(list.Layers())(t)[0].Compressed())(t)))(t)
		file := must(os.ReadFile(filepath.Join(dir, "dist", "sbom", "manager-linux-"+platform+".spdx.json")))(t)
		if !bytes.Equal(in, file) || !bytes.Contains(file, []byte("arch="+platform)) {
			t.Errorf("the list in the layout is not the file for %s", platform)
		}
	}
}

// refusing answers everything but the greeting with a code.
func refusing(code int) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && r.URL.Path == "/v2/" {
				next.ServeHTTP(w, r)
				return
			}
			w.WriteHeader(code)
		})
	}
}

func TestRegistryThatRefusesIsAnErrorThatSaysWhatToDo(t *testing.T) {
	platforms := []v1.Platform{{OS: "linux", Architecture: "amd64"}}
	from := must(source.Read(t.Context(), labguard(t), "images"))(t)
	image := must(build(t.Context(), from, platforms, t.Logf))(t)[0]
	tests := []struct {
		name, host string
		want       []string
	}{
		{name: "no login", host: serve(t, true, refusing(http.StatusUnauthorized)), want: []string{"refuses: log in with \"docker login 127.0.0.1:", "DOCKER_CONFIG"}},
		{name: "no right", host: serve(t, true, refusing(http.StatusForbidden)), want: []string{"refuses: log in"}},
		{name: "nobody there", host: "127.0.0.1:1", want: []string{"the registry 127.0.0.1:1 does not answer"}},
		{name: "another answer", host: serve(t, true, refusing(http.StatusConflict)), want: []string{"answers 409"}},
		{name: "reading is all that is allowed", host: serve(t, true, readOnly), want: []string{"push 127.0.0.1:", "refuses: log in"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := push(t.Context(), image, target{repository: test.host + "/labguard", platforms: platforms}, t.Logf)
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want an error with %q", err, want)
				}
			}
		})
	}
}

func TestPushUsesTheLoginOfDockersConfiguration(t *testing.T) {
	const username, password = "lab", "a password of this test"
	host := serve(t, true, asking(username, password))
	platforms := []v1.Platform{{OS: "linux", Architecture: "amd64"}}
	from := must(source.Read(t.Context(), labguard(t), "images"))(t)
	image := must(build(t.Context(), from, platforms, t.Logf))(t)[1]
	to := target{repository: host + "/labguard", platforms: platforms}
	for _, try := range []struct{ password, want string }{
		{want: "refuses: log in"}, {password: "wrong", want: "refuses: log in"}, {password: password},
	} {
		auths := "{}"
		if try.password != "" {
			auths = fmt.Sprintf(`{%q: {"auth": %q}}`, host, base64.StdEncoding.EncodeToString([]byte(username+":"+try.password)))
		}
		put(t, os.Getenv("DOCKER_CONFIG"), "config.json", `{"auths": `+auths+`}`)
		err := push(t.Context(), image, to, t.Logf)
		if try.want == "" && err != nil || try.want != "" && (err == nil || !strings.Contains(err.Error(), try.want)) {
			t.Errorf("with the password %q: got %v, want an error with %q", try.password, err, try.want)
		}
		if err != nil && strings.Contains(err.Error(), username+":") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	digest := must(name.NewDigest(to.digest(image)))(t)
	descriptor := must(image.index.IndexManifest())(t).Manifests[0]
	if document := listed(t, digest.Context().Digest(descriptor.Digest.String())); document.Packages[0].Name != "airlock" {
		t.Errorf("the list is about %s", document.Packages[0].Name)
	}
}

// asking answers those who log in, and nobody else.
func asking(username, password string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if gotUsername, gotPassword, _ := r.BasicAuth(); gotUsername != username || gotPassword != password {
				w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// readOnly refuses every change.
func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// The library takes plain HTTP for a registry in a network of private addresses, and sends the login by it.
func TestNothingLeavesTheMachineInPlaintext(t *testing.T) {
	for address, leaves := range map[string]bool{
		"http://10.1.2.3:5000/v2/": true, "http://192.168.1.1/v2/": true, "http://registry.local/v2/": true, "http://[fd00::1]:5000/v2/": true,
		"https://10.1.2.3:5000/v2/": false, "http://127.0.0.1:5000/v2/": false, "http://localhost:5000/v2/": false, "http://[::1]:5000/v2/": false,
	} {
		asked := false
		transport := private{asks(func(request *http.Request) (*http.Response, error) {
			asked = true
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: request}, nil
		})}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(request)
		if err == nil {
			_ = answer.Body.Close()
		}
		if asked == leaves || errors.Is(err, errPlaintext) != leaves {
			t.Errorf("%s: asked %v, %v", address, asked, err)
		}
	}
}

// asks is a function as a transport.
type asks func(*http.Request) (*http.Response, error)

// RoundTrip calls it.
func (a asks) RoundTrip(request *http.Request) (*http.Response, error) { return a(request) }
