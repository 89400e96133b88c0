// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/plugin/tree"
	"github.com/labguard/labguard/internal/posture/template"
)

func newHeld(p *plugin) *cobra.Command {
	var w where
	command := &cobra.Command{
		Use:   "held",
		Short: "rollouts that the gate holds: since when, why, and what ends it",
		Long: "Lists the rollouts that the gate holds until their images are fine. Why is what the gate would answer now, by the ImageRecords and the\n" +
			"objects that you may read. The exit code is 0 if nothing is held, 1 if something is, and 2 if it could not be found out.",
		Example: "  kubectl labguard held -n pathology\n  kubectl labguard held -A -o json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			namespace, err := w.in(p)
			if err != nil {
				return err
			}
			from, err := p.reader()
			if err != nil {
				return err
			}
			return p.held(command.Context(), from, namespace, w.output)
		},
	}
	w.addTo(command)
	return command
}

func (p *plugin) held(ctx context.Context, from reader, namespace, output string) error {
	over := p.during(ctx, "reading what is held")
	found, unseen, err := p.findHeld(ctx, from, namespace)
	over()
	if err != nil {
		return err
	}
	if output == "json" {
		err = p.printJSON(map[string]any{"held": found})
	} else {
		err = p.printHeld(found, namespace)
	}
	switch {
	case err != nil:
		return err
	case unseen != nil && len(found) > 0:
		_, err = fmt.Fprintf(p.ErrOut, "Not all is known of why: %s\n", visibleLines(unseen.Error()))
	}
	if err == nil && len(found) > 0 {
		return fmt.Errorf("%s held", several(len(found), "rollout is", "rollouts are"))
	}
	return err
}

// findHeld asks in each namespace that has something held. unseen is the first thing that could not be read of what tells why.
func (p *plugin) findHeld(ctx context.Context, from reader, namespace string) (found []gate.Held, unseen, err error) {
	spaces, err := p.spaces(ctx, from, namespace)
	if err != nil {
		return nil, nil, err
	}
	if len(spaces) == 0 {
		if err := from.there(ctx, namespace); err != nil {
			return nil, nil, err
		}
	}
	images := from.contents(ctx)
	found = []gate.Held{}
	for _, name := range slices.Sorted(maps.Keys(spaces)) {
		seen := spaces[name]
		seen.Content, seen.Digest = images.of, images.by
		found = append(found, gate.List(seen, func(kind, name string) *template.Root {
			root, err := from.root(ctx, kind, seen.Namespace, name)
			if seen.Airlock == nil && err == nil {
				seen.Airlock, err = from.airlocks(ctx, seen.Namespace, root)
			}
			if err != nil && unseen == nil {
				unseen = err
			}
			return root
		})...)
	}
	if unseen == nil {
		unseen = images.failed()
	}
	return found, unseen, nil
}

// spaces are the namespaces with their LabWorkloads and records.
func (p *plugin) spaces(ctx context.Context, from reader, namespace string) (map[string]*gate.Seen, error) {
	workloads, err := from.workloads(ctx, namespace)
	if err != nil {
		return nil, err
	}
	records, err := from.records(ctx, namespace)
	if err != nil {
		return nil, err
	}
	spaces := map[string]*gate.Seen{}
	at := func(name string) *gate.Seen {
		if spaces[name] == nil {
			spaces[name] = &gate.Seen{Namespace: name, Now: p.clock.Now()}
		}
		return spaces[name]
	}
	for i := range workloads {
		seen := at(workloads[i].Namespace)
		seen.Workloads = append(seen.Workloads, workloads[i])
	}
	for i := range records {
		seen := at(records[i].Namespace)
		seen.Records = append(seen.Records, records[i])
	}
	return spaces, nil
}

// root reads a root workload; nil without an error if the gate knows no such kind.
func (r reader) root(ctx context.Context, name, namespace, object string) (*template.Root, error) {
	known, err := kindNamed(name)
	if err != nil {
		return nil, nil //nolint:nilerr // a kind of a later version of labguard is held all the same
	}
	found, err := r.named(ctx, known, namespace, object)
	return found.Root, err
}

func (p *plugin) printHeld(found []gate.Held, namespace string) error {
	if len(found) == 0 {
		_, err := fmt.Fprintf(p.ErrOut, "Nothing is held%s.\n", placed(namespace))
		return err
	}
	nodes := make([]tree.Node, 0, len(found))
	for i := range found {
		nodes = append(nodes, found[i].Draw(p.clock.Now()))
	}
	_, err := fmt.Fprint(p.Out, p.paper().Draw(nodes...))
	return err
}
