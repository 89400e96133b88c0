// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion(p *plugin) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "which build this is: what to say in a report",
		Long:  "Prints the version, the commit and the platform of this program. No cluster is asked: what labguard itself runs is the image of its Deployment.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			information, _ := debug.ReadBuildInfo()
			_, err := fmt.Fprintln(p.Out, versionOf(information))
			return err
		},
	}
}

// versionOf says what the Go command has stamped on a program; nil, or what has no stamp, is no release of anybody's.
func versionOf(information *debug.BuildInfo) string {
	version, revision, changed := "(devel)", "unknown", ""
	if information != nil {
		if information.Main.Version != "" {
			version = information.Main.Version
		}
		for _, setting := range information.Settings {
			switch {
			case setting.Key == "vcs.revision":
				revision = setting.Value
			case setting.Key == "vcs.modified" && setting.Value == "true":
				changed = ", with changes"
			}
		}
	}
	return fmt.Sprintf("labguard %s (commit %s%s) %s %s/%s", version, revision, changed, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
