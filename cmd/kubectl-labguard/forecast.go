// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/forecast"
	"github.com/labguard/labguard/internal/plugin/standing"
	"github.com/labguard/labguard/internal/posture/training"
)

const (
	aDay = 24 * time.Hour
	// usualDays is how far a forecast looks, and maxDays how far it may.
	usualDays, maxDays = 30, 3650
)

var errDays = fmt.Errorf("--days is 1 to %d", maxDays)

func newForecast(p *plugin) *cobra.Command {
	var w where
	days := usualDays
	command := &cobra.Command{
		Use:   "forecast",
		Short: "what time alone will change: images that turn stale, what expires, training that ends",
		Long: "Lists what time alone changes within some days: images that turn stale, certificates that expire, exemptions and plaintext exceptions that\n" +
			"end, training that ends, enforcement that begins. It says what is known now; whoever pushes, renews or imports makes it better. The exit\n" +
			"code is 0 if nothing gets worse, 1 if something does, and 2 if it could not be found out, or not wholly.",
		Example: "  kubectl labguard forecast --days 30 -A\n  kubectl labguard forecast -n pathology -o json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			namespace, err := w.in(p)
			switch {
			case err != nil:
				return err
			case days < 1 || days > maxDays:
				return errDays
			}
			from, err := p.reader()
			if err != nil {
				return err
			}
			return p.forecast(command.Context(), from, namespace, days, w.output)
		},
	}
	w.addTo(command)
	command.Flags().IntVar(&days, "days", days, "how far to look")
	return command
}

func (p *plugin) forecast(ctx context.Context, from reader, namespace string, days int, output string) error {
	over := p.during(ctx, "reading what will change")
	facts, missing, err := p.forecastFacts(ctx, from, namespace)
	over()
	if err != nil {
		return err
	}
	end := facts.Now.Add(time.Duration(days) * aDay)
	changes := forecast.Of(facts, end)
	if err := p.printForecast(changes, end, missing, output); err != nil {
		return err
	}
	worse := len(changes)
	for i := range changes {
		if changes[i].Harmless {
			worse--
		}
	}
	switch {
	case len(missing) > 0:
		return &unansweredError{errors.New("the forecast may lack something")}
	case worse > 0:
		return fmt.Errorf("%s within %s", several(worse, "thing gets worse", "things get worse"), several(days, "day", "days"))
	default:
		return nil
	}
}

// forecastFacts reads what the forecast is made of. missing are the parts that could not be read.
func (p *plugin) forecastFacts(ctx context.Context, from reader, namespace string) (facts forecast.Facts, missing []string, err error) {
	facts.Now = p.clock.Now()
	if facts.Workloads, err = from.workloads(ctx, namespace); err != nil {
		return facts, nil, err
	}
	if len(facts.Workloads) == 0 {
		return facts, nil, from.there(ctx, namespace)
	}
	if slices.ContainsFunc(facts.Workloads, func(lw v1alpha1.LabWorkload) bool { return lw.Spec.Training != nil }) {
		records, err := from.trainings(ctx)
		if err != nil {
			missing = append(missing, "training: "+err.Error())
		} else {
			facts.Trainings = training.NewIndex(training.FromObjects(records))
		}
	}
	for i := range facts.Workloads {
		if lw := &facts.Workloads[i]; standing.Behind(lw) {
			missing = append(missing, fmt.Sprintf("%s/%s: labguard has not looked at its latest spec yet", lw.Namespace, lw.Name))
		}
	}
	images := from.contents(ctx)
	facts.Content = images.of
	// What can be read is read before anything is printed.
	for _, digest := range forecast.Exempt(facts.Workloads) {
		images.of(digest)
	}
	if err := images.failed(); err != nil {
		missing = append(missing, "exempt images: "+err.Error())
	}
	for i := range facts.Workloads {
		if more := forecast.Unlisted(&facts.Workloads[i]); more > 0 {
			missing = append(missing, fmt.Sprintf("%s of %s/%s: the status has no room for them", several(more, "image", "images"), facts.Workloads[i].Namespace, facts.Workloads[i].Name))
		}
	}
	return facts, missing, nil
}

func (p *plugin) printForecast(changes []forecast.Change, end time.Time, missing []string, output string) error {
	if output == "json" {
		if changes == nil {
			changes = []forecast.Change{}
		}
		return p.printJSON(map[string]any{"until": end.UTC(), "changes": changes, "missing": append([]string{}, missing...)})
	}
	if len(changes) == 0 {
		if _, err := fmt.Fprintf(p.ErrOut, "Time alone changes nothing until %s.\n", end.UTC().Format(time.DateOnly)); err != nil {
			return err
		}
	} else if _, err := fmt.Fprint(p.Out, p.paper().Table(forecast.Header(), forecast.Rows(changes, p.clock.Now()))); err != nil {
		return err
	}
	for _, one := range missing {
		if _, err := fmt.Fprintf(p.ErrOut, "Not looked at: %s\n", visibleLines(one)); err != nil {
			return err
		}
	}
	return nil
}
