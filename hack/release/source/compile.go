// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// interruptGrace is how long an interrupted Go command may take to end its compilers.
const interruptGrace = 10 * time.Second

// Binary is a compiled program and what the Go command has written into it.
type Binary struct {
	Content []byte
	Build   *debug.BuildInfo
}

// Compile compiles one program of a checkout for a platform: static, without paths of this machine, with the revision. It writes beside the checkout.
func Compile(ctx context.Context, checkout, pkg string, platform v1.Platform) (Binary, error) {
	file := filepath.Join(filepath.Dir(checkout), "program")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-tags=", "-ldflags=-s -w", "-o", file, pkg)
	cmd.Dir = checkout
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interruptGrace
	// Each of them decides what is compiled, so none is left to the settings of whoever does this. GOFLAGS has to be something, as the Go
	// command reads an empty one from its own configuration file.
	cmd.Env = Environment("CGO_ENABLED=0", "GOOS="+platform.OS, "GOARCH="+platform.Architecture, "GOFLAGS=-mod=readonly", "GOWORK=off",
		"GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return Binary{}, errors.New("interrupted")
		}
		return Binary{}, fmt.Errorf("compile %s for %s: %w\n%s", pkg, platform, err, bytes.TrimSpace(output))
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return Binary{}, fmt.Errorf("read the program: %w", err)
	}
	build, err := buildinfo.Read(bytes.NewReader(content))
	if err != nil {
		return Binary{}, fmt.Errorf("read the build information of %s: %w", pkg, err)
	}
	return Binary{Content: content, Build: build}, nil
}

// Check says why a program is not what may be given out as that of the revision for the platform.
func Check(build *debug.BuildInfo, revision string, platform v1.Platform) error {
	settings := map[string]string{}
	for _, setting := range build.Settings {
		settings[setting.Key] = setting.Value
	}
	wanted := []debug.BuildSetting{
		{Key: "vcs.revision", Value: revision}, {Key: "vcs.modified", Value: "false"}, {Key: "-trimpath", Value: "true"},
		{Key: "CGO_ENABLED", Value: "0"}, {Key: "GOOS", Value: platform.OS}, {Key: "GOARCH", Value: platform.Architecture},
		// Each of these stands there only if it is set, and makes another program.
		{Key: "GOEXPERIMENT"}, {Key: "-tags"}, {Key: "-race"}, {Key: "-cover"},
	}
	for _, want := range wanted {
		if got := settings[want.Key]; got != want.Value {
			return fmt.Errorf("the Go command was to compile with %s=%q and did with %q", want.Key, want.Value, got)
		}
	}
	if version := build.Main.Version; !strings.HasPrefix(version, "v") || strings.Contains(version, "+") {
		return fmt.Errorf("the Go command calls the version %q, which cannot be the tag of an image or an archive", version)
	}
	return nil
}
