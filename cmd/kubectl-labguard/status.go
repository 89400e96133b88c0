// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/standing"
	"github.com/labguard/labguard/internal/plugin/tree"
)

// where is which LabWorkloads are asked about, and how the answer is printed.
type where struct {
	everywhere bool
	output     string
}

func (w *where) addTo(command *cobra.Command) {
	command.Flags().BoolVarP(&w.everywhere, "all-namespaces", "A", false, "of all namespaces")
	w.addOutput(command)
}

func (w *where) addOutput(command *cobra.Command) {
	command.Flags().StringVarP(&w.output, "output", "o", "", "json, or empty for people")
}

// in is the namespace that is asked about, empty for all.
func (w *where) in(p *plugin) (string, error) {
	if err := outputOf(w.output); err != nil || w.everywhere {
		return "", err
	}
	return p.namespace()
}

func placed(namespace string) string {
	if namespace == "" {
		return ""
	}
	return " in namespace " + namespace
}

func newStatus(p *plugin) *cobra.Command {
	var w where
	command := &cobra.Command{
		Use:   "status [NAME]",
		Short: "how LabWorkloads stand: each requirement, its answer, the evidence and until when",
		Long: "Says how LabWorkloads stand, by what labguard has written in their status: each requirement with its answer, the reason, what that rests\n" +
			"on and until when it holds. Of one LabWorkload all evidence is shown. The exit code is 0 if everything is known to comply, 1 if not, and 2\n" +
			"if it could not be found out.",
		Example: "  kubectl labguard status -A\n  kubectl labguard status lis -n pathology\n  kubectl labguard status -A -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, names []string) error {
			namespace, err := w.in(p)
			switch {
			case err != nil:
				return err
			case len(names) == 1 && w.everywhere:
				return errors.New("a name is of one namespace: say which with -n, and leave -A out")
			}
			from, err := p.reader()
			if err != nil {
				return err
			}
			return p.status(command.Context(), from, namespace, names, w.output)
		},
		ValidArgsFunction: p.completeWorkloads,
	}
	w.addTo(command)
	return command
}

func (p *plugin) status(ctx context.Context, from reader, namespace string, names []string, output string) error {
	over := p.during(ctx, "reading LabWorkloads")
	found, err := from.chosen(ctx, namespace, names)
	if err == nil && len(found) == 0 {
		err = from.there(ctx, namespace)
	}
	over()
	if err != nil {
		return err
	}
	now, bad := p.clock.Now(), 0
	workloads := make([]standing.Workload, 0, len(found))
	for i := range found {
		one := standing.Of(&found[i], now)
		if !one.Complies() {
			bad++
		}
		workloads = append(workloads, one)
	}
	standing.Sort(workloads)
	if err := p.printStatus(workloads, namespace, len(names) == 1, output); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("%d of %s not known to comply", bad, several(len(workloads), "LabWorkload is", "LabWorkloads are"))
	}
	return nil
}

// chosen are the LabWorkloads of a namespace, of all if it is empty, or one by its name.
func (r reader) chosen(ctx context.Context, namespace string, names []string) ([]v1alpha1.LabWorkload, error) {
	if len(names) == 0 {
		return r.workloads(ctx, namespace)
	}
	one, err := r.workload(ctx, namespace, names[0])
	if err != nil {
		return nil, err
	}
	return []v1alpha1.LabWorkload{*one}, nil
}

func (p *plugin) printStatus(workloads []standing.Workload, namespace string, whole bool, output string) error {
	if output == "json" {
		return p.printJSON(map[string]any{"labWorkloads": workloads})
	}
	if len(workloads) == 0 {
		_, err := fmt.Fprintf(p.ErrOut, "No LabWorkloads%s.\n", placed(namespace))
		return err
	}
	most := standing.Few
	if whole {
		most = 0
	}
	nodes := make([]tree.Node, 0, len(workloads))
	for i := range workloads {
		nodes = append(nodes, workloads[i].Draw(most, p.clock.Now()))
	}
	_, err := fmt.Fprint(p.Out, p.paper().Draw(nodes...))
	return err
}
