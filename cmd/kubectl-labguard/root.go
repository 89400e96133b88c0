// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
)

// plugin is what all commands have: where they read and write, and how they find the cluster.
type plugin struct {
	genericiooptions.IOStreams

	flags *genericclioptions.ConfigFlags
	clock clock.PassiveClock
}

func newRoot(streams genericiooptions.IOStreams, clock clock.PassiveClock) *cobra.Command {
	p := &plugin{IOStreams: streams, flags: clusterFlags(), clock: clock}
	root := &cobra.Command{
		Use:   "kubectl-labguard",
		Short: "what people do with labguard beside kubectl",
		Long: "Says how LabWorkloads stand, what is held and why, what time alone will change, and what enforcing would cut. Imports\n" +
			"training records, looks after uses of break glass, lists who could go around the gate for people, and prints what the\n" +
			"API server has to be told about an identity provider. It has the rights of whoever runs it.",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl labguard"},
		SilenceUsage:  true,
		SilenceErrors: true,

		PersistentPreRunE: func(command *cobra.Command, _ []string) error {
			err := namespaceName(*p.flags.Namespace)
			if err != nil && command.Name() == "check" {
				return usage(err)
			}
			return err
		},
	}
	root.SetIn(p.In)
	root.SetOut(p.Out)
	root.SetErr(p.ErrOut)
	p.flags.AddFlags(root.PersistentFlags())
	for name, usage := range usages {
		root.PersistentFlags().Lookup(name).Usage = usage
	}
	// It fails only where there is no flag of that name, which the test of completion sees.
	_ = root.RegisterFlagCompletionFunc("namespace", p.completeNamespaces)
	root.AddCommand(newStatus(p), newHeld(p), newForecast(p), newExplain(p), newPlan(p), newCheck(p), newCompletion(p), newVersion(p))
	root.AddCommand(newTraining(p), newBreakGlass(p), newAuthentication(p), newRights(p))
	return root
}

// clusterFlags are the flags of kubectl by which a cluster and a user are chosen. Those that only repeat what a kubeconfig says are left out.
func clusterFlags() *genericclioptions.ConfigFlags {
	all := genericclioptions.NewConfigFlags(false)
	return &genericclioptions.ConfigFlags{
		KubeConfig: all.KubeConfig, Context: all.Context, AuthInfoName: all.AuthInfoName, Namespace: all.Namespace,
		Impersonate: all.Impersonate, ImpersonateGroup: all.ImpersonateGroup, Timeout: all.Timeout,
	}
}

// usages say of the flags of kubectl what kubectl says, in one line of a terminal.
var usages = map[string]string{
	"as":              "user to impersonate",
	"as-group":        "group to impersonate; may be given several times",
	"context":         "context of the kubeconfig",
	"kubeconfig":      "path of the kubeconfig",
	"namespace":       "namespace (default: that of the context)",
	"request-timeout": "how long to wait for one answer, such as 30s; 0 is for ever",
	"user":            "user of the kubeconfig",
}

// group is a command that has others and does nothing itself: what it does not know is an error.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	command := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(command *cobra.Command, _ []string) error { return command.Help() }}
	command.AddCommand(commands...)
	return command
}

// Requests in a second: client-go's own 5 would let an import of 10,000 records take half an hour. The API server has fair queues of its own.
const (
	requestsPerSecond = 200
	requestBurst      = 400
)

// config is the access to the cluster. Warnings of the API server, such as labguard's under Audit, go to the person.
func (p *plugin) config() (*rest.Config, error) {
	config, err := p.flags.ToRESTConfig()
	if err != nil {
		return nil, &unansweredError{fmt.Errorf("find the cluster: %w", err)}
	}
	if p.nowhere(config) {
		return nil, &unansweredError{errNoKubeconfig}
	}
	config.QPS, config.Burst = requestsPerSecond, requestBurst
	config.WarningHandler = warnings{rest.NewWarningWriter(p.ErrOut, rest.WarningWriterOptions{Deduplicate: true})}
	return config, nil
}

// warnings are those of the API server, and so of whoever has a webhook there.
type warnings struct{ to rest.WarningHandler }

func (w warnings) HandleWarningHeader(code int, agent, text string) {
	w.to.HandleWarningHeader(code, agent, visible(text))
}

// namespaceName says what is wrong with the name that the flag gives.
func namespaceName(name string) error {
	if problems := validation.IsDNS1123Label(name); name != "" && len(problems) > 0 {
		return fmt.Errorf("--namespace: %q is no name of a namespace: %s", name, strings.Join(problems, ", "))
	}
	return nil
}

// namespace is the one that the flag or the kubeconfig names.
func (p *plugin) namespace() (string, error) {
	namespace, _, err := p.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", &unansweredError{fmt.Errorf("find the namespace: %w", err)}
	}
	return namespace, nil
}
