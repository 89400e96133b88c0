// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/labguard/labguard/internal/plugin/check"
)

// completionWaits is how long somebody who has pressed the tabulator waits.
const completionWaits = 3 * time.Second

// completer is what kubectl runs to complete what stands behind `kubectl labguard` (kubectl 1.26 and later).
const completer = "#!/bin/sh\n# Put this on the PATH as kubectl_complete-labguard, executable.\nexec kubectl-labguard __complete \"$@\"\n"

func newCompletion(p *plugin) *cobra.Command {
	return &cobra.Command{
		Use:   "completion [kubectl|bash|zsh|fish|powershell]",
		Short: "a script that completes commands, flags, LabWorkloads and workloads",
		Long: "Prints what completes `kubectl labguard` in a shell that completes kubectl: put it on the PATH as kubectl_complete-labguard, executable.\n" +
			"With the name of a shell it prints a script of that shell that completes kubectl-labguard itself.",
		Example: "  kubectl labguard completion > kubectl_complete-labguard\n" +
			"  chmod +x kubectl_complete-labguard && sudo mv kubectl_complete-labguard /usr/local/bin/",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"kubectl", "bash", "zsh", "fish", "powershell"},
		RunE: func(command *cobra.Command, shells []string) error {
			root := command.Root()
			switch strings.Join(shells, "") {
			case "bash":
				return root.GenBashCompletionV2(p.Out, true)
			case "zsh":
				return root.GenZshCompletion(p.Out)
			case "fish":
				return root.GenFishCompletion(p.Out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(p.Out)
			default:
				_, err := fmt.Fprint(p.Out, completer)
				return err
			}
		},
	}
}

// completeWorkloads completes the name of one LabWorkload.
func (p *plugin) completeWorkloads(command *cobra.Command, before []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(before) > 0 && command.Name() != "explain" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.workloadNames(command.Context()), cobra.ShellCompDirectiveNoFileComp
}

// workloadNames are the LabWorkloads of the namespace; none if they cannot be read in time, since nobody wants an error while typing.
func (p *plugin) workloadNames(ctx context.Context) []string {
	namespace, err := p.namespace()
	if err != nil {
		return nil
	}
	from, err := p.reader()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, completionWaits)
	defer cancel()
	found, err := from.workloads(ctx, namespace)
	if err != nil {
		return nil
	}
	names := make([]string, 0, len(found))
	for i := range found {
		names = append(names, found[i].Name)
	}
	return names
}

// completeNamespaces completes -n, as kubectl does.
func (p *plugin) completeNamespaces(command *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	from, err := p.reader()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(command.Context(), completionWaits)
	defer cancel()
	var names []string
	for _, one := range from.names(ctx, namespaceKind, "") {
		names = append(names, one.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeExplained completes KIND/NAME by the kind, and LabWorkloads.
func (p *plugin) completeExplained(command *cobra.Command, before []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(before) > 0 || strings.Contains(typed, "/") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var choices []string
	for _, one := range kinds {
		choices = append(choices, strings.ToLower(one.name)+"/")
	}
	return append(choices, p.workloadNames(command.Context())...), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeFailures completes the last of a list of failures, with those that are not in it yet.
func completeFailures(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	before := typed[:strings.LastIndex(typed, ",")+1]
	there := strings.Split(before, ",")
	var choices []string
	for _, one := range check.Failures() {
		if !slices.Contains(there, one) {
			choices = append(choices, before+one)
		}
	}
	return choices, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
