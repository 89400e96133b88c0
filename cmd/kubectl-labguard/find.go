// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/auditlog"
)

func newBreakGlassFind(p *plugin) *cobra.Command {
	var files []string
	var group string
	var since time.Duration
	command := &cobra.Command{
		Use:   "find --audit-log FILE",
		Short: "uses that stand in an audit log of the API server, also those that labguard did not see",
		Long: "Lists what members of the break-glass group have done on the ways that labguard guards, by the audit log of the API server: one JSON\n" +
			"event of audit.k8s.io/v1 a line. It needs no cluster. A request whose LABGUARD is - was not seen by labguard, because it was down or does\n" +
			"not guard the namespace, and has no BreakGlassUse. The audit policy has to log these requests, at level Metadata at least. A line that\n" +
			"cannot be read is reported, and the exit code is 1: the list may lack something.",
		Example: "  kubectl labguard break-glass find --audit-log /var/log/kubernetes/audit.log --since 24h\n" +
			"  zcat audit-*.gz | kubectl labguard break-glass find --audit-log - -n pathology",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			query := auditlog.Query{Group: group, Namespace: *p.flags.Namespace}
			switch {
			case len(files) == 0:
				return errors.New("say which file with --audit-log; - is standard input")
			case group == "":
				return errors.New("the group has no name")
			case since < 0:
				return errors.New("--since is a length of time, such as 24h")
			case since > 0:
				query.Since = p.clock.Now().Add(-since)
			}
			return p.findUses(files, query)
		},
	}
	command.Flags().StringArrayVar(&files, "audit-log", nil, "the log; - for standard input; may be given several times")
	command.Flags().StringVar(&group, "group", v1alpha1.BreakGlassGroup, "the group of the emergency, if labguard's configuration names another")
	command.Flags().DurationVar(&since, "since", 0, "only what is not older, such as 24h (default: everything)")
	return command
}

// findUses prints what some files have.
func (p *plugin) findUses(files []string, query auditlog.Query) error {
	finder := auditlog.NewFinder(query)
	for _, name := range files {
		if err := p.findIn(finder, name); err != nil {
			return err
		}
	}
	uses := finder.Uses()
	if len(uses) > 0 {
		if err := writeTable(p.Out, []string{"TIME", "USER", "NAMESPACE", "VERB", "OBJECT", "CODE", "LABGUARD"}, useRows(uses)); err != nil {
			return err
		}
	}
	return p.sayFound(finder, uses, query.Group)
}

func (p *plugin) findIn(finder *auditlog.Finder, name string) error {
	file, err := p.open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return finder.Read(name, file)
}

func useRows(uses []auditlog.Use) [][]string {
	rows := make([][]string, 0, len(uses))
	for _, use := range uses {
		user, verb, code, seen := use.User, use.Verb, "", ""
		if use.Impersonator != "" {
			user += " (impersonated by " + use.Impersonator + ")"
		}
		if use.DryRun {
			verb += " (dry run)"
		}
		if use.Code > 0 {
			code = strconv.Itoa(use.Code)
		}
		if use.Seen {
			seen = "seen"
		}
		rows = append(rows, []string{instant(use.At), user, use.Namespace, verb, use.Object, code, seen})
	}
	return rows
}

// sayFound prints, beside the table, what the list is worth.
func (p *plugin) sayFound(finder *auditlog.Finder, uses []auditlog.Use, group string) error {
	where := fmt.Sprintf("of members of %s in %s", visible(group), several(finder.Events(), "event", "events"))
	summary := "No request " + where + ".\n"
	if len(uses) > 0 {
		unseen := 0
		for _, use := range uses {
			if !use.Seen {
				unseen++
			}
		}
		summary = fmt.Sprintf("\n%s %s; labguard did not see %d.\n", several(len(uses), "request", "requests"), where, unseen)
	}
	if _, err := fmt.Fprint(p.ErrOut, summary); err != nil {
		return err
	}
	problems, all := finder.Problems()
	for _, problem := range problems {
		if _, err := fmt.Fprintln(p.ErrOut, visible(problem.String())); err != nil {
			return err
		}
	}
	switch {
	case all > 0:
		return fmt.Errorf("%s could not be read: the list may lack something", several(all, "line", "lines"))
	case finder.Dropped() > 0:
		return fmt.Errorf("there are more than %d requests, and the list lacks the others: ask for one namespace or a shorter time", auditlog.MaxUses)
	}
	return nil
}
