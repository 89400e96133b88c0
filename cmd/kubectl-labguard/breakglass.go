// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/labguard/labguard/api/v1alpha1"
)

// useStore is where uses of break glass are kept.
type useStore interface {
	list(ctx context.Context, namespace string) ([]v1alpha1.BreakGlassUse, error)
	get(ctx context.Context, namespace, name string) (*v1alpha1.BreakGlassUse, error)
	whoAmI(ctx context.Context) (string, error)
	acknowledge(ctx context.Context, use *v1alpha1.BreakGlassUse, acknowledgement v1alpha1.BreakGlassAcknowledgement) error
}

func newBreakGlass(p *plugin) *cobra.Command {
	return group("break-glass", "uses of break glass, and that somebody has looked into them",
		newBreakGlassList(p), newBreakGlassAcknowledge(p), newBreakGlassFind(p))
}

func newBreakGlassList(p *plugin) *cobra.Command {
	var everywhere bool
	command := &cobra.Command{
		Use:   "list [NAME]",
		Short: "uses that labguard saw, open ones first; of one use, its requests",
		Long: "Lists the uses of break glass that labguard saw, open ones first. With a name, it lists the requests of that use; labguard keeps the\n" +
			"first 20. What happened while labguard was down is not here: see `kubectl labguard break-glass find`.",
		Example: "  kubectl labguard break-glass list -A\n  kubectl labguard break-glass list -n pathology break-glass-5b0e1c2f9a7d4e63",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, names []string) error {
			namespace, err := p.namespace()
			if err != nil {
				return err
			}
			uses, err := p.uses()
			switch {
			case err != nil:
				return err
			case len(names) == 1 && everywhere:
				return errors.New("a name is of one namespace: say which with -n, and leave -A out")
			case len(names) == 1:
				return p.showUse(command.Context(), uses, namespace, names[0])
			case everywhere:
				namespace = ""
			}
			return p.listUses(command.Context(), uses, namespace)
		},
	}
	command.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "of all namespaces")
	return command
}

// listUses prints the uses of a namespace, or of all if it is empty.
func (p *plugin) listUses(ctx context.Context, store useStore, namespace string) error {
	uses, err := store.list(ctx, namespace)
	if err != nil {
		return err
	}
	if len(uses) == 0 {
		where := " in namespace " + namespace
		if namespace == "" {
			where = ""
		}
		_, err := fmt.Fprintf(p.ErrOut, "No uses of break glass%s.\n", where)
		return err
	}
	slices.SortFunc(uses, inOrder)
	rows := make([][]string, 0, len(uses))
	open := 0
	for i := range uses {
		if uses[i].Spec.Acknowledgement == nil {
			open++
		}
		row := rowOf(&uses[i])
		row[len(row)-1] = beginning(row[len(row)-1])
		rows = append(rows, row)
	}
	if err := writeTable(p.Out, useHeader, rows); err != nil || open == 0 {
		return err
	}
	_, err = fmt.Fprintf(p.ErrOut, "\n%s open. Look into each, and then: kubectl labguard break-glass acknowledge NAME -n NAMESPACE --reason '...'\n",
		several(open, "use is", "uses are"))
	return err
}

var useHeader = []string{"NAMESPACE", "NAME", "USER", "REQUESTS", "FIRST", "LAST", "ACKNOWLEDGED-BY", "REASON"}

func rowOf(use *v1alpha1.BreakGlassUse) []string {
	by, reason := "", ""
	if done := use.Spec.Acknowledgement; done != nil {
		by, reason = done.By, done.Reason
	}
	return []string{
		use.Namespace, use.Name, use.Spec.User, strconv.FormatInt(use.Spec.Count, 10), instant(use.Spec.First.Time), instant(use.Spec.Last.Time), by, reason,
	}
}

// beginning is a text that leaves the other columns on the screen. Of one use the whole reason is shown.
func beginning(text string) string {
	const most = 60
	if all := []rune(text); len(all) > most {
		return string(all[:most-3]) + "..."
	}
	return text
}

// inOrder puts what is open first, and then what is newest.
func inOrder(a, b v1alpha1.BreakGlassUse) int {
	rank := func(use v1alpha1.BreakGlassUse) int {
		if use.Spec.Acknowledgement == nil {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), b.Spec.Last.Compare(a.Spec.Last.Time), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}

// showUse prints one use with its requests.
func (p *plugin) showUse(ctx context.Context, store useStore, namespace, name string) error {
	use, err := store.get(ctx, namespace, name)
	if err != nil {
		return advise("get", "breakglassuses", namespace, err)
	}
	return p.sayUse(use)
}

func (p *plugin) sayUse(use *v1alpha1.BreakGlassUse) error {
	if err := writeTable(p.Out, useHeader, [][]string{rowOf(use)}); err != nil {
		return err
	}
	rows := make([][]string, 0, len(use.Spec.Requests))
	for _, request := range use.Spec.Requests {
		rows = append(rows, []string{instant(request.At.Time), request.Operation, request.Resource, request.Name})
	}
	if _, err := fmt.Fprintln(p.Out); err != nil {
		return err
	}
	if err := writeTable(p.Out, []string{"TIME", "OPERATION", "RESOURCE", "NAME"}, rows); err != nil {
		return err
	}
	if more := use.Spec.Count - int64(len(use.Spec.Requests)); more > 0 {
		if _, err := fmt.Fprintf(p.Out, "and %d more, of which the audit log knows\n", more); err != nil {
			return err
		}
	}
	return nil
}

func newBreakGlassAcknowledge(p *plugin) *cobra.Command {
	var reason string
	command := &cobra.Command{
		Use:   "acknowledge NAME --reason TEXT",
		Short: "say that you have looked into a use",
		Long: "Says that you have looked into a use of break glass, and what you found. Your user name and the reason stand in the use from then on,\n" +
			"for auditors. You need the verb acknowledge on breakglassuses.labguard.dev and a login with a second factor, and you must not be a\n" +
			"member of the group yourself. A use to which requests are added meanwhile is not acknowledged.",
		Example: "  kubectl labguard break-glass acknowledge break-glass-5b0e1c2f9a7d4e63 -n pathology --reason 'INC-4711: login provider was down, LIS restarted'",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, names []string) error {
			namespace, err := p.namespace()
			if err != nil {
				return err
			}
			uses, err := p.uses()
			if err != nil {
				return err
			}
			return p.acknowledgeUse(command.Context(), uses, namespace, names[0], reason)
		},
	}
	command.Flags().StringVar(&reason, "reason", "", "what you found; 3 to 1024 characters")
	_ = command.MarkFlagRequired("reason")
	return command
}

// reasonFault says what is wrong with a reason; the API allows no other.
func reasonFault(reason string) error {
	const shortest, longest = 3, 1024
	switch length := len([]rune(reason)); {
	case length < shortest || length > longest:
		return fmt.Errorf("the reason has %s: write %d to %d, such as 'INC-4711: login provider was down'", several(length, "character", "characters"), shortest, longest)
	case strings.ContainsFunc(reason, unicode.IsControl):
		return errors.New("the reason has control characters: write it in one line")
	}
	return nil
}

// acknowledgeUse acknowledges a use, and prints what was acknowledged.
func (p *plugin) acknowledgeUse(ctx context.Context, store useStore, namespace, name, reason string) error {
	reason = strings.TrimSpace(reason)
	if err := reasonFault(reason); err != nil {
		return err
	}
	use, err := store.get(ctx, namespace, name)
	if err != nil {
		return advise("get", "breakglassuses", namespace, err)
	}
	if done := use.Spec.Acknowledgement; done != nil {
		return fmt.Errorf("%s has acknowledged it already: %s", done.By, done.Reason)
	}
	by, err := store.whoAmI(ctx)
	if err != nil {
		return err
	}
	acknowledgement := v1alpha1.BreakGlassAcknowledgement{By: by, Reason: reason}
	switch err := store.acknowledge(ctx, use, acknowledgement); {
	case apierrors.IsConflict(err):
		return fmt.Errorf("it has changed since you asked, so nothing is acknowledged: look at it again with kubectl labguard break-glass list -n %s %s", namespace, name)
	case err != nil:
		return advise("acknowledge", "breakglassuses", namespace, err)
	}
	use.Spec.Acknowledgement = &acknowledgement
	return p.sayUse(use)
}
