// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package source_test

import (
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/labguard/labguard/hack/release/source"
)

func TestProgramThatWasCompiledOtherwiseIsRefused(t *testing.T) {
	platform := v1.Platform{OS: "linux", Architecture: "arm64"}
	good := func() *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Path: "example.invalid/a", Version: "v1.2.3-rc.1"}, Settings: []debug.BuildSetting{
			{Key: "-trimpath", Value: "true"}, {Key: "CGO_ENABLED", Value: "0"}, {Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "arm64"},
			{Key: "GOARM64", Value: "v8.0"}, {Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "false"},
		}}
	}
	if err := source.Check(good(), "abc", platform); err != nil {
		t.Fatalf("a good one is refused: %v", err)
	}
	set := func(key, value string) func(*debug.BuildInfo) {
		return func(b *debug.BuildInfo) {
			b.Settings = slices.DeleteFunc(b.Settings, func(s debug.BuildSetting) bool { return s.Key == key })
			b.Settings = append(b.Settings, debug.BuildSetting{Key: key, Value: value})
		}
	}
	version := func(version string) func(*debug.BuildInfo) {
		return func(b *debug.BuildInfo) { b.Main.Version = version }
	}
	tests := map[string]func(*debug.BuildInfo){
		"GOARCH=\"arm64\"": set("GOARCH", "amd64"), "CGO_ENABLED=\"0\"": set("CGO_ENABLED", "1"), "vcs.revision=\"abc\"": set("vcs.revision", "abd"),
		"vcs.modified=\"false\"": set("vcs.modified", "true"), "GOEXPERIMENT=\"\"": set("GOEXPERIMENT", "jsonv2"), "-tags=\"\"": set("-tags", "debug"),
		"-race=\"\"": set("-race", "true"), "-trimpath=\"true\"": func(b *debug.BuildInfo) { b.Settings = b.Settings[1:] },
		"\"(devel)\"": version("(devel)"), "\"v1.2.3+dirty\"": version("v1.2.3+dirty"), "\"\"": version(""),
	}
	for want, change := range tests {
		build := good()
		change(build)
		if err := source.Check(build, "abc", platform); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %s", err, want)
		}
	}
}
