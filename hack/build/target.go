// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// A target is a set of programs from one module that are compiled together and
// kept under one key.
type target struct {
	// dir is the folder of the module, absolute.
	dir string
	// packages are the main packages to compile.
	packages []string
	// ldflags go to the linker as they are.
	ldflags string
	// tags are build tags, separated by commas.
	tags string
	// static leaves cgo out: the programs then run where nothing else is, as in an
	// image of one file.
	static bool
	// folder links all programs as one folder bin/<name of the target>: programs
	// that only other programs start, under names that nobody should find in bin/.
	folder bool
	// why is for a person who waits: why it is compiled here, and how long.
	why string
}

// A definition computes a target of the checkout at root.
type definition func(ctx context.Context, root string) (target, error)

var targets = map[string]definition{
	"devcluster": devcluster,
	"flux":       flux,
	"helm":       helm,
	"node":       node,
	"tools":      tools,
}

// devcluster is one program, stamped with the versions of its parts: without
// the stamp the API server calls itself v0.0.0, and clients that look at its
// version behave as with an ancient one.
func devcluster(ctx context.Context, root string) (target, error) {
	dir := filepath.Join(root, "hack", "devcluster")
	mod, err := readModule(ctx, dir)
	if err != nil {
		return target{}, err
	}
	kubernetes, err := mod.version("k8s.io/kubernetes")
	if err != nil {
		return target{}, err
	}
	certManager, err := mod.version("github.com/cert-manager/cert-manager")
	if err != nil {
		return target{}, err
	}
	return target{
		dir:      dir,
		packages: []string{"."},
		ldflags:  stamp(kubernetes, certManager),
		why: fmt.Sprintf("Kubernetes %s and cert-manager %s are compiled from their Go modules, as nothing but Go is needed then.\n"+
			"The first time takes 5 to 10 minutes on two cores; the result is kept.", kubernetes, certManager),
	}, nil
}

func stamp(kubernetes, certManager string) string {
	major, rest, _ := strings.Cut(strings.TrimPrefix(kubernetes, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	flags := []string{"-s", "-w", "-X", "github.com/cert-manager/cert-manager/pkg/util.AppVersion=" + certManager}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags,
			"-X", pkg+".gitVersion="+kubernetes,
			"-X", pkg+".gitMajor="+major,
			"-X", pkg+".gitMinor="+minor,
			"-X", pkg+".gitTreeState=clean")
	}
	return strings.Join(flags, " ")
}

// node is what a node of the devcluster needs besides what devcluster has linked
// in: the tool lines of hack/node/go.mod and its own programs. It is a module of
// its own, so that Kubernetes is not compiled anew when containerd moves.
func node(ctx context.Context, root string) (target, error) {
	dir := filepath.Join(root, "hack", "node")
	mod, err := readModule(ctx, dir)
	if err != nil {
		return target{}, err
	}
	containerd, err := mod.version("github.com/containerd/containerd/v2")
	if err != nil {
		return target{}, err
	}
	t := target{
		dir:     dir,
		ldflags: "-s -w -X github.com/containerd/containerd/v2/version.Version=" + containerd,
		tags:    "no_btrfs,no_zfs,no_devmapper",
		static:  true,
		folder:  true,
		why: fmt.Sprintf("containerd %s and the network plugins of a node are compiled from their Go modules.\n"+
			"The first time takes 1 to 2 minutes on two cores; the result is kept.", containerd),
	}
	t.packages = append(mod.toolPackages(), "./dns", "./pause", "./policyplugin")
	return t, nil
}

// helm is the tool line of hack/chart/go.mod: the program at the version of the
// library that renders the chart in its tests. Without the stamp it calls itself
// v4.3, whatever patch it is.
func helm(ctx context.Context, root string) (target, error) {
	dir := filepath.Join(root, "hack", "chart")
	mod, err := readModule(ctx, dir)
	if err != nil {
		return target{}, err
	}
	version, err := mod.version("helm.sh/helm/v4")
	if err != nil {
		return target{}, err
	}
	return target{
		dir:      dir,
		packages: mod.toolPackages(),
		ldflags:  "-s -w -X helm.sh/helm/v4/internal/version.version=" + version,
		static:   true,
		why: fmt.Sprintf("Helm %s is compiled from its Go module, so that tests and documents use one version.\n"+
			"The first time takes about 2 minutes on two cores; the result is kept.", version),
	}, nil
}

// flux is the controller of Flux that the tests of test/flux run: the tool line of hack/flux/go.mod.
func flux(ctx context.Context, root string) (target, error) {
	dir := filepath.Join(root, "hack", "flux")
	mod, err := readModule(ctx, dir)
	if err != nil {
		return target{}, err
	}
	controller, err := mod.version("github.com/fluxcd/kustomize-controller")
	if err != nil {
		return target{}, err
	}
	return target{
		dir:      dir,
		packages: mod.toolPackages(),
		ldflags:  "-s -w",
		static:   true,
		why: fmt.Sprintf("kustomize-controller %s is compiled from its Go module, with the clients of the clouds that it can take keys from.\n"+
			"The first time takes about 4 minutes on two cores; the result is kept.", controller),
	}, nil
}

// tools is every tool line of hack/tools/go.mod.
func tools(ctx context.Context, root string) (target, error) {
	dir := filepath.Join(root, "hack", "tools")
	mod, err := readModule(ctx, dir)
	if err != nil {
		return target{}, err
	}
	if len(mod.Tool) == 0 {
		return target{}, errors.New("hack/tools/go.mod has no tool line")
	}
	return target{
		dir:      dir,
		packages: mod.toolPackages(),
		ldflags:  "-s -w",
		why: "The tools are compiled at the versions of hack/tools/go.mod, so that everybody checks with the same ones.\n" +
			"The first time takes about 3 minutes on two cores; the result is kept.",
	}, nil
}

// programs are the names of what the target compiles to, for messages.
func (t target) programs() string {
	names := make([]string, len(t.packages))
	for i, pkg := range t.packages {
		names[i] = programName(t.dir, pkg)
	}
	return strings.Join(names, ", ")
}

// programName is the name that the go command gives a program: the last element
// of its path that is not a major version.
func programName(dir, pkg string) string {
	if pkg == "." {
		return filepath.Base(dir)
	}
	parent, name := path.Split(pkg)
	if len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" {
		return path.Base(parent)
	}
	return name
}

// module is the part of `go mod edit -json` that is read here.
type module struct {
	Require []struct{ Path, Version string }
	Tool    []struct{ Path string }
}

func readModule(ctx context.Context, dir string) (module, error) {
	out, err := goOutput(ctx, dir, "mod", "edit", "-json")
	if err != nil {
		return module{}, fmt.Errorf("read go.mod of %s: %w", dir, err)
	}
	var m module
	if err := json.Unmarshal(out, &m); err != nil {
		return module{}, fmt.Errorf("read go.mod of %s: %w", dir, err)
	}
	return m, nil
}

// toolPackages are the main packages that the tool lines of the module name.
func (m module) toolPackages() []string {
	packages := make([]string, len(m.Tool))
	for i, tool := range m.Tool {
		packages[i] = tool.Path
	}
	return packages
}

func (m module) version(path string) (string, error) {
	for _, r := range m.Require {
		if r.Path == path {
			return r.Version, nil
		}
	}
	return "", fmt.Errorf("go.mod does not require %s", path)
}

// interruptGrace is how long an interrupted go command may take to end.
const interruptGrace = 10 * time.Second

// goCommand is the go command in a module's folder. A go.work above it would
// change the versions behind the key's back, so it is ignored.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// The go command ends its compilers itself when it is interrupted.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interruptGrace
	cmd.Env = append(cmd.Environ(), "GOWORK=off")
	return cmd
}

// command is the go command with the settings of the target.
func (t target) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := goCommand(ctx, t.dir, args...)
	if t.static {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	return cmd
}

func goOutput(ctx context.Context, dir string, args ...string) ([]byte, error) {
	out, err := goCommand(ctx, dir, args...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil, fmt.Errorf("go %s: %w: %s", args[0], err, strings.TrimSpace(string(exit.Stderr)))
	}
	return out, err
}
