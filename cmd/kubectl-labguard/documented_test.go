// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	testclock "k8s.io/utils/clock/testing"
)

// calls are commands in a text: a line that begins with the plugin, or has it behind a prompt or a pipe.
var calls = regexp.MustCompile(`(?m)(?:^|\$ |\| +)\s*kubectl labguard ([^\n|>#]*)`)

// walk visits a command and all below it.
func walk(command *cobra.Command, visit func(*cobra.Command)) {
	visit(command)
	for _, below := range command.Commands() {
		walk(below, visit)
	}
}

func TestWhatIsDocumentedCanBeCalled(t *testing.T) {
	t.Parallel()
	root := func() *cobra.Command {
		return newRoot(genericiooptions.NewTestIOStreamsDiscard(), testclock.NewFakePassiveClock(noon))
	}
	page, err := os.ReadFile("../../docs/kubectl.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(page)}
	walk(root(), func(command *cobra.Command) { texts = append(texts, command.Example) })
	called := map[string]bool{}
	for _, match := range calls.FindAllStringSubmatch(strings.Join(texts, "\n"), -1) {
		words := strings.Fields(match[1])
		command, rest, err := root().Find(words)
		if err != nil || command.HasSubCommands() && words[0] != "--help" {
			t.Errorf("there is no command: %s, %v", match[0], err)
			continue
		}
		if err := command.ParseFlags(rest); err != nil && words[0] != "--help" {
			t.Errorf("%s: %v", match[0], err)
		}
		called[command.CommandPath()] = true
	}
	walk(root(), func(command *cobra.Command) {
		if !command.HasSubCommands() && !called[command.CommandPath()] {
			t.Errorf("no page shows %s", command.CommandPath())
		}
		if command.Short == "" || len(command.Short) > 100 {
			t.Errorf("%s says of itself %q", command.CommandPath(), command.Short)
		}
		for line := range strings.SplitSeq(command.Long+"\n"+command.Example, "\n") {
			if len(line) > 160 {
				t.Errorf("%s has a line that no terminal shows: %q", command.CommandPath(), line)
			}
		}
	})
}
