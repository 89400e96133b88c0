// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/labguard/labguard/internal/training"
)

func newTraining(p *plugin) *cobra.Command {
	return group("training", "who has completed which course", newTrainingImport(p))
}

func newTrainingImport(p *plugin) *cobra.Command {
	var file, format string
	var dryRun bool
	command := &cobra.Command{
		Use:   "import -f FILE",
		Short: "write what a learning management system exports as TrainingRecords",
		Long: "Writes what a learning management system exports as TrainingRecords. What is there as it is, is not written again, so that an\n" +
			"import can be repeated as often as you like; nothing is deleted. A line that is no record is reported and left out, the others are\n" +
			"written, and the exit code is 1. docs/training.md says what a file looks like.",
		Example: "  kubectl labguard training import -f lms.csv --dry-run\n  lms-export | kubectl labguard training import -f - --format json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			kind, err := formatOf(file, format)
			if err != nil {
				return err
			}
			return p.importFile(command.Context(), file, kind, dryRun)
		},
	}
	command.Flags().StringVarP(&file, "filename", "f", "", "the export; - for standard input")
	command.Flags().StringVar(&format, "format", "", "csv or json (default: by the name of the file)")
	command.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be written, let the API server check it, and write nothing")
	return command
}

// formatOf is how a file is written.
func formatOf(file, format string) (training.Format, error) {
	if file == "" {
		return "", errors.New("say which file with -f; - is standard input")
	}
	if format == "" {
		format = strings.TrimPrefix(strings.ToLower(filepath.Ext(file)), ".")
	}
	switch kind := training.Format(format); kind {
	case training.CSV, training.JSON:
		return kind, nil
	default:
		return "", errors.New("say how the file is written with --format csv or --format json")
	}
}

// open opens a file, or standard input.
func (p *plugin) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(p.In), nil
	}
	return os.Open(name) //nolint:gosec // The person who runs it names the file, and may read it.
}

func (p *plugin) importFile(ctx context.Context, name string, format training.Format, dryRun bool) error {
	file, err := p.open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	records, problems := training.Read(file, format)
	if len(records) == 0 && len(problems) > 0 {
		return errors.Join(p.sayProblems(problems), fmt.Errorf("%s in %s, and nothing to import", problemCount(problems), name))
	}
	config, err := p.config()
	if err != nil {
		return err
	}
	api, err := newLabguardAPI(config)
	if err != nil {
		return err
	}
	result, err := importRecords(ctx, clusterRecords{api}, records, dryRun, newProgress(p.ErrOut, p.clock, dryRun))
	if err != nil {
		return err
	}
	if err := p.sayImported(result, dryRun); err != nil {
		return err
	}
	if err := p.sayProblems(problems); err != nil {
		return err
	}
	return importFault(name, result, problems, dryRun)
}

// problemCount counts problems as a person would. The last of very many says how many more there are, and counts as one.
func problemCount(problems []training.Problem) string {
	if len(problems) == training.MaxProblems {
		return "more than " + several(training.MaxProblems-1, "problem", "problems")
	}
	return several(len(problems), "problem", "problems")
}

// importFault is the error with which an import ends that is not as it should be: nil if all is well.
func importFault(name string, result imported, problems []training.Problem, dryRun bool) error {
	sum := result.all()
	var faults []string
	if len(problems) > 0 {
		faults = append(faults, problemCount(problems)+" in "+name)
	}
	if sum.refused > 0 {
		faults = append(faults, several(sum.refused, "record", "records")+" refused by the API server")
	}
	if result.stopped != nil {
		why := result.stopped
		if errors.Is(why, context.Canceled) {
			why = errors.New("it was interrupted")
		}
		faults = append(faults, fmt.Sprintf("%s not written: %v", several(sum.left, "record", "records"), why))
	}
	switch {
	case len(faults) == 0:
		return nil
	case result.stopped != nil:
		return fmt.Errorf("%s; run it again later: what is there is not written twice", strings.Join(faults, ", "))
	case dryRun:
		return fmt.Errorf("%s; the rest can be imported", strings.Join(faults, ", "))
	default:
		return fmt.Errorf("%s; the rest is imported", strings.Join(faults, ", "))
	}
}

// sayImported prints what has become of the records, by course: neither people nor dates.
func (p *plugin) sayImported(result imported, dryRun bool) error {
	sum := result.all()
	header, cells := columnsOf(sum)
	rows := make([][]string, 0, len(result.courses)+1)
	for _, course := range slices.Sorted(maps.Keys(result.courses)) {
		rows = append(rows, append([]string{course}, cells(result.courses[course])...))
	}
	rows = append(rows, append([]string{"(all)"}, cells(sum)...))
	if dryRun {
		if _, err := fmt.Fprintln(p.Out, "Dry run: nothing is written."); err != nil {
			return err
		}
	}
	if err := writeTable(p.Out, append([]string{"COURSE"}, header...), rows); err != nil {
		return err
	}
	if result.shorter > 0 {
		if _, err := fmt.Fprintf(p.Out, "\n%s shorter than before: is the export older than the last one?\n",
			several(result.shorter, "changed record counts", "changed records count")); err != nil {
			return err
		}
	}
	return p.sayRefusals(result.refusals, sum.refused)
}

// columnsOf are the columns of the table; those for what went wrong are there only if something did.
func columnsOf(sum tally) (header []string, cells func(tally) []string) {
	header = []string{"CREATED", "CHANGED", "UNCHANGED"}
	if sum.refused > 0 {
		header = append(header, "REFUSED")
	}
	if sum.left > 0 {
		header = append(header, "NOT WRITTEN")
	}
	return header, func(t tally) []string {
		counts := []string{strconv.Itoa(t.created), strconv.Itoa(t.changed), strconv.Itoa(t.unchanged)}
		if sum.refused > 0 {
			counts = append(counts, strconv.Itoa(t.refused))
		}
		if sum.left > 0 {
			counts = append(counts, strconv.Itoa(t.left))
		}
		return counts
	}
}

func (p *plugin) sayRefusals(refusals []refusal, all int) error {
	if len(refusals) == 0 {
		return nil
	}
	rows := make([][]string, 0, len(refusals)+1)
	for _, r := range refusals {
		rows = append(rows, []string{r.name, r.why})
	}
	if more := all - len(refusals); more > 0 {
		rows = append(rows, []string{"", several(more, "more", "more")})
	}
	if _, err := fmt.Fprintln(p.Out); err != nil {
		return err
	}
	return writeTable(p.Out, []string{"REFUSED", "WHY"}, rows)
}

// sayProblems prints where a file is not as it has to be.
func (p *plugin) sayProblems(problems []training.Problem) error {
	if len(problems) == 0 {
		return nil
	}
	rows := make([][]string, 0, len(problems))
	for _, problem := range problems {
		line := ""
		if problem.Line > 0 {
			line = strconv.Itoa(problem.Line)
		}
		rows = append(rows, []string{line, problem.Field, problem.Text})
	}
	if _, err := fmt.Fprintln(p.Out); err != nil {
		return err
	}
	return writeTable(p.Out, []string{"LINE", "FIELD", "PROBLEM"}, rows)
}
