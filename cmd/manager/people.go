// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"

	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/labguard/labguard/controllers/labworkload"
	"github.com/labguard/labguard/controllers/people"
	access "github.com/labguard/labguard/internal/admission/people"
	desiredaccess "github.com/labguard/labguard/internal/desired/access"
	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/posture/rights"
)

// peopleWebhooks answers who gets into pods and who changes what runs. Every replica does, and writes down what it has seen.
func (p *parts) peopleWebhooks(ctx context.Context) error {
	proofs := people.NewProofs(p.manager.GetClient(), p.manager.GetClient(), p.clock)
	uses := people.NewUses(p.manager.GetClient(), p.manager.GetAPIReader(), p.manager.GetEventRecorder("labguard"), p.clock, p.options.namespace)
	settings := &p.config.Access
	handlers := access.New(p.manager.GetClient(), p.clock, access.Config{
		User: p.options.user, BreakGlassGroup: settings.group(), Machines: settings.machines(), Tokens: settings.tokens(), Proofs: proofs, Uses: uses,
	})
	if err := handlers.Watch(ctx, p.manager.GetCache()); err != nil {
		return fmt.Errorf("watch what is asked of people: %w", err)
	}
	server := p.manager.GetWebhookServer()
	server.Register(desiredaccess.ValidatePath, access.Hook(
		&webhook.Admission{Handler: handlers.Validating(), RecoverPanic: recoverPanic(), LogConstructor: plainLog}))
	server.Register(desiredaccess.ObservePath, access.Hook(
		&webhook.Admission{Handler: handlers.BreakGlass(), RecoverPanic: recoverPanic(), LogConstructor: plainLog}))
	for _, runnable := range []interface{ Start(context.Context) error }{proofs, uses} {
		if err := p.manager.Add(runnable); err != nil {
			return fmt.Errorf("add what is seen of people: %w", err)
		}
	}
	return nil
}

// people knows what the answers about people rest on, and runs what keeps identity providers and uses of break glass in order.
func (p *parts) people(ctx context.Context) (labworkload.People, error) {
	options := people.RightsCacheOptions()
	options.Scheme, options.Mapper = p.manager.GetScheme(), p.manager.GetRESTMapper()
	bindings, err := cache.New(p.rest, options)
	if err != nil {
		return labworkload.People{}, fmt.Errorf("prepare the cache of rights: %w", err)
	}
	holders := people.NewRights(p.manager.GetClient(), bindings, p.rights(), p.clock)
	records := people.NewRecords(p.manager.GetClient(), p.clock)
	providers := &people.Providers{Client: p.manager.GetClient(), Clock: p.clock, Random: rand.Float64, Recorder: p.manager.GetEventRecorder("labguard")}
	retention := &people.Retention{Client: p.manager.GetClient(), Clock: p.clock, Random: rand.Float64}
	for what, setUp := range map[string]func() error{
		"rights":             func() error { return holders.SetupWithManager(ctx, p.manager) },
		"training records":   func() error { return records.SetupWithManager(ctx, p.manager) },
		"identity providers": func() error { return providers.SetupWithManager(p.manager) },
		"break glass":        func() error { return retention.SetupWithManager(p.manager) },
	} {
		if err := setUp(); err != nil {
			return labworkload.People{}, fmt.Errorf("set up %s: %w", what, err)
		}
	}
	return labworkload.People{
		Rights: holders, Training: records, Webhook: people.Webhooks{Reader: p.manager.GetClient()},
		// What a listed machine writes takes effect by itself, whoever has pushed it to Git.
		GitTrusted: len(p.config.Access.Machines) > 0,
	}, nil
}

// rights is what the platform team says of those who hold rights.
func (p *parts) rights() people.RightsConfig {
	config := people.RightsConfig{BreakGlass: p.config.Access.group(), User: p.options.user}
	for _, one := range p.config.Access.Machines {
		config.Machines = append(config.Machines, rights.Machine{User: one.User, Namespace: one.Namespace, Name: one.ServiceAccount})
	}
	config.Trusted = append(config.Trusted, rights.CertManager(cmp.Or(p.config.CertManagerUser, injection.DefaultCertManagerUser))...)
	for _, one := range p.config.Access.Trusted {
		config.Trusted = append(config.Trusted, rights.Subject{Kind: one.Kind, Namespace: one.Namespace, Name: one.Name})
	}
	return config
}

// accessObjects is what the objects about people depend on and what does not change while the process runs.
func (p *parts) accessObjects() desiredaccess.Config {
	config := desiredaccess.Config{BreakGlass: p.config.Access.group()}
	for _, one := range p.config.Access.Machines {
		config.Machines = append(config.Machines, desiredaccess.Machine{User: one.User, Issuer: one.Issuer, Namespace: one.Namespace, Name: one.ServiceAccount})
	}
	return config
}
