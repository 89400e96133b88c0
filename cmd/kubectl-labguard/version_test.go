// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestAVersionIsWhatTheGoCommandHasStamped(t *testing.T) {
	setting := func(key, value string) debug.BuildSetting { return debug.BuildSetting{Key: key, Value: value} }
	for want, information := range map[string]*debug.BuildInfo{
		"labguard (devel) (commit unknown) go": nil,
		"labguard v0.1.0 (commit abc) go": {
			Main: debug.Module{Version: "v0.1.0"}, Settings: []debug.BuildSetting{setting("vcs", "git"), setting("vcs.revision", "abc"), setting("vcs.modified", "false")},
		},
		"labguard v0.1.1-0.2026+dirty (commit abc, with changes) go": {
			Main: debug.Module{Version: "v0.1.1-0.2026+dirty"}, Settings: []debug.BuildSetting{setting("vcs.revision", "abc"), setting("vcs.modified", "true")},
		},
	} {
		if got := versionOf(information); !strings.HasPrefix(got, want) {
			t.Errorf("it is %q, not %q", got, want)
		}
	}
	out, errOut, err := command(t, "", "version")
	if err != nil || errOut != "" || !strings.HasPrefix(out, "labguard ") || strings.Count(out, "\n") != 1 {
		t.Errorf("%v: %q and %q", err, out, errOut)
	}
}

// A path with a namespace that cannot be one would lead elsewhere, or nowhere.
func TestANamespaceThatCannotBeOneIsSaidAtOnce(t *testing.T) {
	for words, code := range map[string]int{
		"status": exitBad, "held": exitBad, "check -f - --offline": exitUnanswered, "break-glass find --audit-log -": exitBad, "explain deployment/lis": exitBad,
	} {
		_, _, err := command(t, "", append(strings.Fields(words), "-n", "Pathology/lis")...)
		if err == nil || exitCode(err) != code || !strings.HasPrefix(err.Error(), `--namespace: "Pathology/lis" is no name of a namespace: `) {
			t.Errorf("%s: %v", words, err)
		}
	}
}
