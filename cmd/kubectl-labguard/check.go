// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/internal/plugin/check"
	"github.com/labguard/labguard/internal/posture"
)

// checkOptions are the flags of check.
type checkOptions struct {
	files, facts []string
	offline      bool
	cluster      bool
	config       string
	cacheDir     string
	days         int
	failOn       []string
	output       string
}

func newCheck(p *plugin) *cobra.Command {
	o := checkOptions{failOn: check.UsualFailures()}
	command := &cobra.Command{
		Use:   "check -f FILE|DIRECTORY|-",
		Short: "whether the gate would let manifests in, before they are applied",
		Long: "Says of manifests whether the gate would let them in: the answer of the function that admission asks, by the LabWorkloads among the manifests,\n" +
			"among --facts, or of the cluster with --cluster. Registries are asked with your docker logins, unless --offline is given; what digests say is\n" +
			"kept for the next run. It writes nothing to a cluster.\n\n" +
			"The exit code is 0 if everything is let in, 1 if something is refused, held or invalid, and 2 if that could not be found out: a file cannot\n" +
			"be read, the command is called in a wrong way, or the age of an image that decides is not known here. --fail-on changes what counts.",
		Example: "  kubectl labguard check -f deploy/\n" +
			"  helm template charts/lis | kubectl labguard check -n pathology -f - --facts lab/\n" +
			"  kubectl labguard check -f deploy/ --cluster --days 30\n" +
			"  kubectl labguard check -f deploy/ --offline --facts facts.yaml -o sarif > labguard.sarif",
		Args: func(command *cobra.Command, args []string) error { return usage(cobra.NoArgs(command, args)) },
		RunE: func(command *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return usage(err)
			}
			return p.check(command.Context(), &o)
		},
	}
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	flags := command.Flags()
	flags.StringArrayVarP(&o.files, "filename", "f", nil, "a file, a directory with all below it, or - for standard input; may be given several times")
	flags.StringArrayVar(&o.facts, "facts", nil, "a file or directory with LabWorkloads, ImageRecords and RolloutRecords; may be given several times")
	flags.BoolVar(&o.offline, "offline", false, "ask no registry")
	flags.BoolVar(&o.cluster, "cluster", false, "take LabWorkloads, records and what runs from the cluster of the kubeconfig too")
	flags.StringVar(&o.config, "config", "", "labguard's configuration file, for its registries: mirrors, authorities, addresses")
	flags.StringVar(&o.cacheDir, "cache-dir", "", "where facts about digests are kept (default: labguard in your directory for caches)")
	flags.IntVar(&o.days, "days", 0, "say of each object too what the answer will be in so many days")
	flags.StringSliceVar(&o.failOn, "fail-on", o.failOn, "what the exit code tells of: refused, held, unknown, warned, later")
	flags.StringVarP(&o.output, "output", "o", "", "json or sarif, or empty for people")
	// They fail only where there is no flag of that name, which the test of completion sees.
	_ = command.RegisterFlagCompletionFunc("fail-on", completeFailures)
	_ = command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"json", "sarif"}, cobra.ShellCompDirectiveNoFileComp))
	return command
}

// usage marks an error as one that leaves the question unanswered.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return &unansweredError{err}
}

func (o *checkOptions) check() error {
	known := check.Failures()
	switch {
	case len(o.files) == 0:
		return errors.New("say which manifests with -f: a file, a directory, or - for standard input")
	case o.output != "" && o.output != "json" && o.output != "sarif":
		return fmt.Errorf("-o %s: it is json or sarif, or left out for people", o.output)
	case o.days < 0 || o.days > maxDays:
		return fmt.Errorf("--days is 1 to %d", maxDays)
	}
	for _, one := range o.failOn {
		if !slices.Contains(known, one) {
			return fmt.Errorf("--fail-on %s: it is one or more of %s, with commas", one, strings.Join(known, ", "))
		}
	}
	if slices.Contains(o.failOn, check.FailLater) && o.days == 0 {
		return errors.New("--fail-on later: say how much later with --days")
	}
	return nil
}

func (p *plugin) check(ctx context.Context, o *checkOptions) error {
	registries, err := registriesOf(o.config)
	if err != nil {
		return usage(err)
	}
	read, err := p.takeAll(ctx, "reading manifests", o.files)
	if err != nil {
		return usage(err)
	}
	nothing := len(read.read.Objects)+len(read.read.Broken) == 0
	world := &check.World{Now: p.clock.Now()}
	if err := p.facts(ctx, o, world, read.read.Objects); err != nil {
		return err
	}
	world.DeclareAll(&read.read)
	if o.cluster {
		if world.Before, err = p.before(ctx, world, read.read.Objects); err != nil {
			return err
		}
	}
	cache, err := p.openCache(o.cacheDir)
	if err != nil {
		return err
	}
	known := &registryFacts{plugin: p, cache: cache, registries: registries, keychain: authn.DefaultKeychain, known: map[string]posture.ImageFacts{}}
	world.Facts = known.of
	if err := known.gather(ctx, world.Queries(read.read.Objects), o.offline); err != nil {
		return usage(err)
	}
	for _, doubt := range world.Doubts(read.read.Objects) {
		if _, err := fmt.Fprintf(p.ErrOut, "Warning: %s\n", visible(doubt)); err != nil {
			return err
		}
	}
	report := world.Make(read.read, time.Duration(o.days)*aDay)
	if err := p.printCheck(&report, o.output); err != nil {
		return err
	}
	if nothing {
		return usage(errors.New("there is nothing to judge: what was skipped is no manifest, or has to be rendered first"))
	}
	return o.verdict(&report)
}

// takeAll reads what a person has named.
func (p *plugin) takeAll(ctx context.Context, doing string, names []string) (*manifests, error) {
	over := p.during(ctx, doing)
	defer over()
	read := &manifests{stdin: p.In}
	for _, name := range names {
		if err := read.take(name); err != nil {
			return nil, err
		}
	}
	return read, nil
}

// openCache opens the cache of facts. That it cannot be read is said, and no more. Without a directory of one's own nothing is kept: in one that all users
// of a machine share, others could write dates of images.
func (p *plugin) openCache(directory string) (*imageCache, error) {
	var cache *imageCache
	base, err := os.UserCacheDir()
	switch {
	case directory != "":
		cache, err = openCache(directory)
	case err != nil:
		cache, err = unkept(), fmt.Errorf("you have no directory for caches (%w), so nothing is kept for the next run: name one with --cache-dir", err)
	default:
		cache, err = openCache(filepath.Join(base, "labguard"))
	}
	if err != nil {
		if _, err := fmt.Fprintf(p.ErrOut, "Warning: %s\n", visibleLines(err.Error())); err != nil {
			return nil, err
		}
	}
	return cache, nil
}

// facts gathers what manifests are judged by, besides themselves.
func (p *plugin) facts(ctx context.Context, o *checkOptions, world *check.World, objects []*check.Object) error {
	// Without a cluster the answer does not depend on a kubeconfig that happens to be there.
	if world.Namespace = *p.flags.Namespace; world.Namespace == "" {
		world.Namespace = metav1.NamespaceDefault
	}
	if o.cluster {
		if err := p.clusterFacts(ctx, world, objects); err != nil {
			return err
		}
	}
	given, err := p.takeAll(ctx, "reading facts", o.facts)
	if err != nil {
		return usage(fmt.Errorf("--facts: %s", strings.TrimPrefix(err.Error(), "-f ")))
	}
	for _, one := range given.read.Broken {
		return usage(fmt.Errorf("--facts: %s: %s", one.Place, one.Text))
	}
	world.DeclareFacts(&given.read)
	// What a cluster has given was valid there; what is to be applied may not be.
	schemas, err := newSchemas()
	if err != nil {
		return err
	}
	world.Invalid = func(object *check.Object) ([]byte, []check.FieldProblem) { return schemas.invalid(ctx, object) }
	world.ClusterWide = schemas.clusterWide
	return nil
}

func (p *plugin) printCheck(report *check.Report, output string) error {
	switch output {
	case "json":
		return p.printJSON(report)
	case "sarif":
		return p.printJSON(report.Sarif())
	}
	for _, one := range report.Skipped {
		if _, err := fmt.Fprintf(p.ErrOut, "Skipped %s: %s\n", visible(one.Place.String()), visible(one.Text)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprint(p.Out, p.paper().Draw(report.Draw()...))
	return err
}

// verdict is the exit code: what is refused stands, whatever else is not known.
func (o *checkOptions) verdict(report *check.Report) error {
	bad, unknown := report.Failing(o.failOn)
	switch {
	case bad > 0:
		return fmt.Errorf("not passed: %d of %s", bad, several(report.Counts.Objects, "object", "objects"))
	case len(report.Broken) > 0:
		return usage(fmt.Errorf("%s could not be read", several(len(report.Broken), "place", "places")))
	case unknown > 0:
		return usage(fmt.Errorf("of %s the age of an image is not known here; with --fail-on refused,held what the gate would do without knowing it counts",
			several(unknown, "object", "objects")))
	default:
		return nil
	}
}
