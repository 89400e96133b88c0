// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/labguard/labguard/internal/plugin/check"
)

// clusterFacts takes what the cluster knows: LabWorkloads and records of the namespaces of the manifests, the inventory of images, the platform of the
// nodes, and the objects that are there under the same names.
func (p *plugin) clusterFacts(ctx context.Context, world *check.World, objects []*check.Object) error {
	namespace, err := p.namespace()
	if err != nil {
		return err
	}
	world.Namespace = namespace
	from, err := p.reader()
	if err != nil {
		return err
	}
	over := p.during(ctx, "reading the cluster")
	defer over()
	world.Platform = from.platform(ctx)
	seen := map[string]bool{}
	for _, object := range objects {
		name := world.NamespaceOf(object)
		if seen[name] || !object.Judged() && object.Kind != "LabWorkload" {
			continue
		}
		seen[name] = true
		var facts check.Known
		if facts.Workloads, err = from.workloads(ctx, name); err != nil {
			return err
		}
		if facts.Records, err = from.records(ctx, name); err != nil {
			return err
		}
		world.Know(facts)
	}
	images, err := from.imageRecords(ctx)
	if err != nil {
		// Registries tell the same.
		if _, err := fmt.Fprintf(p.ErrOut, "Warning: %s\n", visibleLines(err.Error())); err != nil {
			return err
		}
	}
	world.Know(check.Known{Images: images})
	return nil
}

// before reads the objects that are there under the names of the manifests, where the gate asks about them.
func (p *plugin) before(ctx context.Context, world *check.World, objects []*check.Object) (func(*check.Object) *check.Before, error) {
	from, err := p.reader()
	if err != nil {
		return nil, err
	}
	over := p.during(ctx, "reading what runs")
	defer over()
	found := map[*check.Object]*check.Before{}
	for _, object := range objects {
		if !object.Named() || !world.MayGovern(object) {
			continue
		}
		known, err := kindNamed(object.Kind)
		if err != nil {
			return nil, err
		}
		there, err := from.object(ctx, known, world.NamespaceOf(object), object.Name)
		var unanswered *unansweredError
		switch {
		case err == nil:
			found[object] = &check.Before{Root: there.Root, Fields: there.Fields}
		case apierrors.IsNotFound(err):
		case errors.As(err, &unanswered) && unserved(err):
		case errors.As(err, &unanswered):
			return nil, err
		default: // such as a name that is none: nobody knows what runs under it
			return nil, usage(fmt.Errorf("%s: %w", object.Place(), err))
		}
	}
	return func(object *check.Object) *check.Before { return found[object] }, nil
}
