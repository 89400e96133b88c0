// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/labguard/labguard/internal/plugin/plan"
)

func newPlan(p *plugin) *cobra.Command {
	output := ""
	command := &cobra.Command{
		Use:   "plan",
		Short: "what Enforce and Strict would cut in a namespace that runs, as YAML to paste",
		Long: "Says of a namespace that runs what network isolation under Enforce, mutual TLS at Strict and image age under Enforce would cut or refuse, and\n" +
			"prints LabWorkloads that keep what is known to be needed: each line that is new says from which evidence. What nobody knows it says too: labguard\n" +
			"sees connections in pods with airlock alone. It writes nothing. What it proposes only audits, until you set Enforce.\n\n" +
			"The exit code is 0 if everything could be looked at, whatever was found, and 2 if not.",
		Example: "  kubectl labguard plan -n pathology\n  kubectl labguard plan -n pathology -o yaml > labworkloads.yaml",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if output != "yaml" && outputOf(output) != nil {
				return errors.New("-o is yaml, json, or left out for people")
			}
			namespace, err := p.namespace()
			if err != nil {
				return err
			}
			from, err := p.reader()
			if err != nil {
				return err
			}
			return p.plan(command.Context(), from, namespace, output)
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "", "yaml, json, or empty for people")
	return command
}

func (p *plugin) plan(ctx context.Context, from reader, namespace, output string) error {
	over := p.during(ctx, "reading what runs in namespace "+visible(namespace))
	facts, missing, err := p.planFacts(ctx, from, namespace)
	var planned plan.Plan
	if err == nil {
		planned = plan.Of(facts)
	}
	over()
	if err != nil {
		return err
	}
	if err := p.printPlan(&planned, missing, output); err != nil {
		return err
	}
	if len(missing) > 0 {
		return &unansweredError{errors.New("the plan may lack something")}
	}
	return nil
}

func (p *plugin) printPlan(planned *plan.Plan, missing []string, output string) error {
	text, err := planned.YAML()
	switch {
	case err != nil:
		return err
	case output == "json":
		return p.printJSON(map[string]any{"plan": planned, "missing": append([]string{}, missing...)})
	case output == "":
		if text != "" {
			text = "\nTo paste; kubectl labguard plan -o yaml prints this alone:\n\n" + text
		}
		text = p.paper().Draw(planned.Draw()...) + text
	}
	if _, err := fmt.Fprint(p.Out, text); err != nil {
		return err
	}
	for _, one := range missing {
		if _, err := fmt.Fprintf(p.ErrOut, "Not looked at: %s\n", visibleLines(one)); err != nil {
			return err
		}
	}
	return nil
}
