// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/hack/release/oci"
	"github.com/labguard/labguard/hack/release/source"
)

// root is the top folder of the checkout.
const root = "../.."

// stages are those of a Dockerfile that make images, by their names.
func stages(dockerfile string) map[string]string {
	found := map[string]string{}
	for stage := range strings.SplitSeq(dockerfile, "\nFROM ") {
		first, rest, _ := strings.Cut(stage, "\n")
		if name, last := strings.CutPrefix(first, "scratch AS "); last {
			found[name] = "\n" + rest + "\n"
		}
	}
	return found
}

func TestDockerfileMakesTheSameImages(t *testing.T) {
	content := must(os.ReadFile(root + "/Dockerfile"))(t)
	found := stages(string(content))
	if len(found) != len(programs()) {
		t.Fatalf("the Dockerfile makes %v", found)
	}
	for _, program := range programs() {
		t.Run(program.Name, func(t *testing.T) {
			stage := found[program.Name]
			user := strconv.Itoa(program.UserID)
			for _, line := range []string{
				"USER " + user + ":" + user, `ENTRYPOINT ["` + program.File() + `"]`, "WORKDIR /", "COPY --from=build /programs/" + program.Name + " " + program.File(),
			} {
				if !strings.Contains(stage, "\n"+line+"\n") {
					t.Errorf("no line %q in\n%s", line, stage)
				}
			}
			if !strings.Contains(string(content), " "+program.pkg) {
				t.Errorf("%s is not compiled", program.pkg)
			}
			labels := map[string]string{}
			for _, match := range regexp.MustCompile(`(org\.opencontainers\.[a-z.]+)="?([^"\n]*?)"?(?: \\)?\n`).FindAllStringSubmatch(stage, -1) {
				labels[match[1]] = match[2]
			}
			want := oci.Annotations(program.Program, oci.Origin{
				Source: "https://github.com/labguard/labguard", Revision: "$REVISION", Version: "$VERSION", License: license, Created: time.Time{},
			})
			want["org.opencontainers.image.created"] = "$CREATED"
			if diff := cmp.Diff(want, labels); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
		})
	}
}

func TestManagerRunsAsTheUserOfItsManifest(t *testing.T) {
	var deployment appsv1.Deployment
	if err := yaml.Unmarshal(must(os.ReadFile(root+"/config/manager/deployment.yaml"))(t), &deployment); err != nil {
		t.Fatal(err)
	}
	if user := deployment.Spec.Template.Spec.SecurityContext.RunAsUser; user == nil || *user != managerUser {
		t.Errorf("the manifest runs it as %v, and the image as %d", user, managerUser)
	}
}

func TestOnlyTheManagerTrustsPublicAuthorities(t *testing.T) {
	for program, want := range map[string]bool{"./cmd/manager": true, "./cmd/airlock": false} {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", program)
		cmd.Dir, cmd.Env = root, source.Environment("CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=-mod=readonly")
		packages := must(cmd.Output())(t)
		if got := bytes.Contains(packages, []byte("golang.org/x/crypto/x509roots/fallback\n")); got != want {
			t.Errorf("%s has them: %v, want %v", program, got, want)
		}
	}
}

func TestMakeCallsTheCommandAsThePagesSay(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want []string
	}{
		{name: "without anything", want: []string{"-repository", ""}},
		{name: "to look at", args: []string{"REPOSITORY=registry.example/labguard"}, want: []string{"-repository", "registry.example/labguard"}},
		{name: "to push", args: []string{"REPOSITORY=r.example/l", "PUSH=1"}, want: []string{"-repository", "r.example/l", "-push"}},
		{name: "not to push", args: []string{"REPOSITORY=r.example/l", "PUSH=0"}, want: []string{"-repository", "r.example/l"}},
		{
			name: "for one platform", args: []string{"REPOSITORY=r.example/l", "PLATFORMS=linux/amd64", "PUSH=1"},
			want: []string{"-repository", "r.example/l", "-platforms", "linux/amd64", "-push"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "make", append([]string{"--no-print-directory", "-n", "-C", root, "images"}, test.args...)...)
			cmd.Env = source.Environment("MAKEFLAGS=", "MFLAGS=", "REPOSITORY=", "PUSH=", "PLATFORMS=")
			line := strings.TrimSpace(string(must(cmd.Output())(t)))
			words, found := strings.CutPrefix(line, "go run ./hack/release ")
			if !found || strings.Contains(line, "\n") {
				t.Fatalf("make runs %q", line)
			}
			args := strings.Fields(words)
			for i := range args {
				args[i] = strings.Trim(args[i], "'")
			}
			if diff := cmp.Diff(test.want, args); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
		})
	}
}
