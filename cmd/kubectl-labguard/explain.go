// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/plugin/path"
	"github.com/labguard/labguard/internal/posture"
)

// explainOptions are the flags of explain.
type explainOptions struct {
	where

	client string
	images map[string]string
	days   int
}

func newExplain(p *plugin) *cobra.Command {
	o := explainOptions{days: usualDays}
	command := &cobra.Command{
		Use:   "explain KIND/NAME | explain LABWORKLOAD --from LABWORKLOAD",
		Short: "whether something would roll out, or whether a connection goes over mutual TLS, and why not",
		Long: "Of KIND/NAME, such as deployment/lis, it says whether it would roll out now and in some days, and why not: the answer of the gate, by the\n" +
			"LabWorkloads, records and images that you may read. With --image it says so of another image. No registry is asked: what a tag means\n" +
			"is what labguard has last seen.\n\n" +
			"Of a LabWorkload and --from another one, each NAME or NAMESPACE/NAME, it follows the way from the one to the other: what both have\n" +
			"declared, airlocks, alias, companion Service, certificates, policies and the last proof; the first link that is missing is the reason.\n\n" +
			"The exit code is 0 if it rolls out now, or the way is mutual TLS; 1 if not, and 2 if it could not be found out.",
		Example: "  kubectl labguard explain deployment/lis -n pathology --days 30\n" +
			"  kubectl labguard explain deployment/lis --image lis=registry.example/lab/lis:2.5\n" +
			"  kubectl labguard explain lis --from interface-engine -n pathology\n" +
			"  kubectl labguard explain pathology/lis --from chemistry/analyzer-gw",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(command *cobra.Command, args []string) error {
			return p.explain(command.Context(), &o, args)
		},
		ValidArgsFunction: p.completeExplained,
	}
	o.addOutput(command)
	command.Flags().StringVar(&o.client, "from", "", "the LabWorkload that connects")
	command.Flags().StringToStringVar(&o.images, "image", nil, "another image, as CONTAINER=IMAGE; may be given several times")
	command.Flags().IntVar(&o.days, "days", o.days, "how far to look ahead")
	// It fails only where there is no flag of that name, which the test of completion sees.
	_ = command.RegisterFlagCompletionFunc("from", p.completeWorkloads)
	return command
}

func (p *plugin) explain(ctx context.Context, o *explainOptions, args []string) error {
	asked := strings.Join(args, "/")
	if err := o.check(asked); err != nil {
		return err
	}
	namespace, err := p.namespace()
	if err != nil {
		return err
	}
	if o.client != "" {
		return p.explainWay(ctx, o, named(asked, namespace), named(o.client, namespace))
	}
	word, object, _ := strings.Cut(asked, "/")
	known, err := kindNamed(word)
	if err != nil {
		return err
	}
	from, err := p.reader()
	if err != nil {
		return err
	}
	return p.explainObject(ctx, from, o, known, namespace, object)
}

// check says what is wrong with a question before a cluster is asked.
func (o *explainOptions) check(asked string) error {
	before, after, slash := strings.Cut(asked, "/")
	switch {
	case o.days < 1 || o.days > maxDays:
		return errDays
	case strings.Contains(after, "/") || before == "" || slash && after == "":
		return fmt.Errorf("%s is neither KIND/NAME nor a LabWorkload", asked)
	case o.client == "" && !slash:
		return fmt.Errorf("say of which kind %s is, such as deployment/%s; or name the LabWorkload that connects to it with --from", asked, asked)
	case o.client != "" && len(o.images) > 0:
		return errors.New("--image is for KIND/NAME, and --from for a LabWorkload")
	}
	return outputOf(o.output)
}

// name is a name with its namespace.
type name struct{ namespace, name string }

// named reads NAME or NAMESPACE/NAME.
func named(text, namespace string) name {
	if in, of, found := strings.Cut(text, "/"); found {
		return name{cmp.Or(in, namespace), of}
	}
	return name{namespace, text}
}

func (p *plugin) explainObject(ctx context.Context, from reader, o *explainOptions, known kind, namespace, object string) error {
	over := p.during(ctx, "reading "+known.resource+"/"+visible(object))
	found, unseen, err := p.explained(ctx, from, o, known, namespace, object)
	over()
	if err != nil {
		return err
	}
	if o.output == "json" {
		err = p.printJSON(found)
	} else {
		_, err = fmt.Fprint(p.Out, p.paper().Draw(found.Draw(found.Now.At)))
	}
	if err != nil {
		return err
	}
	if unseen != nil {
		if _, err := fmt.Fprintf(p.ErrOut, "Not all is known of the images: %s\n", visibleLines(unseen.Error())); err != nil {
			return err
		}
	}
	if guessed := found.Guessed(); len(guessed) > 0 {
		return &unansweredError{fmt.Errorf("how old %s is, is not known here, and labguard may know: ask with kubectl labguard check, which reads registries",
			visible(strings.Join(guessed, ", ")))}
	}
	if !found.Now.Verdict.Passes() {
		return fmt.Errorf("%s/%s would not roll out now", strings.ToLower(found.Kind), found.Name)
	}
	return nil
}

func (p *plugin) explained(ctx context.Context, from reader, o *explainOptions, known kind, namespace, object string) (found gate.Explanation, unseen, err error) {
	read, err := from.named(ctx, known, namespace, object)
	if err != nil {
		return found, nil, err
	}
	spaces, err := p.spaces(ctx, from, namespace)
	if err != nil {
		return found, nil, err
	}
	seen := spaces[namespace]
	if seen == nil {
		seen = &gate.Seen{Namespace: namespace, Now: p.clock.Now()}
	}
	images := from.contents(ctx)
	seen.Content, seen.Digest = images.of, images.by
	if read.Root.Template.Platform == (posture.Platform{}) {
		seen.Platform = from.platform(ctx)
	}
	seen.Airlock, unseen = from.airlocks(ctx, namespace, read.Root)
	found, err = gate.Explain(seen, read, o.images, time.Duration(o.days)*aDay)
	return found, cmp.Or(unseen, images.failed()), err
}

func (p *plugin) explainWay(ctx context.Context, o *explainOptions, server, client name) error {
	from, err := p.reader()
	if err != nil {
		return err
	}
	return p.way(ctx, from, server, client, o.output)
}

func (p *plugin) way(ctx context.Context, from reader, server, client name, output string) error {
	over := p.during(ctx, "reading both ends")
	facts, err := p.wayFacts(ctx, from, server, client)
	over()
	if err != nil {
		return err
	}
	way := path.Of(facts)
	if output == "json" {
		err = p.printJSON(way)
	} else {
		_, err = fmt.Fprint(p.Out, p.paper().Draw(way.Draw(facts.Now)))
	}
	switch {
	case err != nil:
		return err
	case way.Verdict == path.MutualTLS:
		return nil
	case way.Verdict == path.Unproven && (facts.ProfileUnread != "" || facts.ServicesUnread != ""):
		return &unansweredError{errors.New("not all of the way could be read")}
	default:
		return errors.New("the way is not shown to be mutual TLS")
	}
}

// wayFacts reads both ends, which have to be there, and what lies between, as far as that may be read.
func (p *plugin) wayFacts(ctx context.Context, from reader, server, client name) (facts path.Facts, err error) {
	facts.Now = p.clock.Now()
	if facts.Server, err = from.workload(ctx, server.namespace, server.name); err != nil {
		return facts, err
	}
	if facts.Client, err = from.workload(ctx, client.namespace, client.name); err != nil {
		return facts, err
	}
	if facts.Profile, err = from.profile(ctx, facts.Client); err != nil {
		facts.ProfileUnread = err.Error()
	}
	if facts.Companions, err = from.companions(ctx, facts.Server); err != nil {
		facts.ServicesUnread = err.Error()
	}
	return facts, nil
}
