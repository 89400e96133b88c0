// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package delivery

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/labguard/labguard/internal/testutil/cluster"
)

// root is the top folder of the checkout.
const root = "../../.."

// release is a commit as a platform team gets it.
type release struct {
	// commit is its ID, dir a clone in which it is checked out.
	commit, dir string
	// manager and airlock are digests of its images in the registry of the cluster.
	manager, airlock string
}

// releases makes the images of this commit and of the one before, and pushes them. Where the checkout differs from its commit, this commit is one with
// the differences, which no branch has.
func releases(t *testing.T) (previous, this release) {
	t.Helper()
	commit := run(t, root, "git", "-c", "user.name=labguard", "-c", "user.email=labguard@example.invalid", "stash", "create")
	if commit == "" {
		commit = run(t, root, "git", "rev-parse", "HEAD")
	} else {
		t.Logf("the checkout differs from its commit: commit %s has what git tracks of it, and the previous one is what is checked out", commit)
	}
	if run(t, root, "git", "rev-parse", "--is-shallow-repository") == "true" {
		t.Fatal("this clone does not have the commit before, from which is upgraded: git fetch --unshallow --tags")
	}
	before := run(t, root, "git", "rev-parse", commit+"^")
	this = release{commit: commit, dir: clone(t, commit)}
	this.make(t)
	if run(t, root, "git", "ls-tree", "--name-only", before, "charts/labguard/Chart.yaml") == "" {
		t.Logf("commit %s has no chart: the upgrade is from this commit to itself, with other annotations of the pods", before)
		return this, this
	}
	previous = release{commit: before, dir: clone(t, before)}
	previous.make(t)
	if previous.manager == this.manager {
		t.Fatalf("the images of %s and %s are the same: the revision is in them", previous.commit, this.commit)
	}
	return previous, this
}

// clone checks a commit out in a folder of its own, which shares the objects of this repository.
func clone(t *testing.T, commit string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "labguard")
	run(t, root, "git", "clone", "--quiet", "--shared", "--no-checkout", ".", dir)
	run(t, dir, "git", "checkout", "--quiet", "--detach", commit)
	return dir
}

// make makes the images as docs/container-images.md says.
func (r *release) make(t *testing.T) {
	t.Helper()
	t.Logf("making the images of %s", r.commit)
	printed := run(t, root, "go", "run", "./hack/release", "-C", r.dir, "-repository", cluster.RegistryHost()+"/labguard", "-output", filepath.Join(t.TempDir(), "dist"),
		"-platforms", "linux/"+runtime.GOARCH, "-push")
	for line := range strings.Lines(printed) {
		reference, digest, _ := strings.Cut(strings.TrimSpace(line), "@")
		switch filepath.Base(reference) {
		case "manager":
			r.manager = digest
		case "airlock":
			r.airlock = digest
		}
	}
	if r.manager == "" || r.airlock == "" {
		t.Fatalf("hack/release printed %s", printed)
	}
	t.Logf("manager %s, airlock %s", r.manager, r.airlock)
}

// extract writes the manager of the image to bin/manager, as `make build` would compile it.
func (r release) extract(t *testing.T) {
	t.Helper()
	reference, err := name.NewDigest(cluster.RegistryHost()+"/labguard/manager@"+r.manager, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	found, err := remote.Image(reference, remote.WithContext(t.Context()), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err != nil {
		t.Fatal(err)
	}
	content := mutate.Extract(found)
	defer func() { _ = content.Close() }()
	files := tar.NewReader(content)
	for header := (&tar.Header{}); path.Base(header.Name) != "manager"; {
		if header, err = files.Next(); err != nil {
			t.Fatalf("find the manager in its image: %v", err)
		}
	}
	program, err := io.ReadAll(files)
	if err == nil {
		err = os.MkdirAll(filepath.Join(r.dir, "bin"), 0o755) //nolint:gosec // as the folder of every build
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(r.dir, "bin", "manager"), program, 0o700) //nolint:gosec // it is a program
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a program in a folder and returns what it prints.
func run(t *testing.T, dir, program string, words ...string) string {
	t.Helper()
	command := exec.Command(program, words...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOWORK=off")
	var complaints bytes.Buffer
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", program, strings.Join(words, " "), err, complaints.String())
	}
	return strings.TrimSpace(string(output))
}
