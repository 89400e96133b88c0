// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	controllermetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/enforcement"
	"github.com/labguard/labguard/controllers/gate"
	"github.com/labguard/labguard/controllers/labworkload"
	"github.com/labguard/labguard/controllers/served"
	rollouts "github.com/labguard/labguard/internal/admission"
	desiredgate "github.com/labguard/labguard/internal/desired/gate"
	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/registry"
)

const (
	// stopWithin is how long the process takes to finish what it has begun.
	stopWithin = 20 * time.Second
	// sampleEvery is how far two samples of the API servers lie apart.
	sampleEvery = 2 * time.Second
	// Requests a second to the API server; priority and fairness there do the rest.
	clientQPS, clientBurst = 200, 400
)

// run wires everything and runs until the context ends.
func run(ctx context.Context, options *options) error {
	if err := options.validate(); err != nil {
		return err
	}
	config, err := readConfiguration(options.configuration)
	if err != nil {
		return err
	}
	restConfig, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the API server (run inside a cluster, or give --kubeconfig): %w", err)
	}
	restConfig.QPS, restConfig.Burst = clientQPS, clientBurst
	restConfig.UserAgent = "labguard"
	serving := newServing(restConfig, options)
	manager, err := newManager(restConfig, options, serving)
	if err != nil {
		return fmt.Errorf("prepare the manager: %w", err)
	}
	serving.reader = manager.GetAPIReader()
	parts := &parts{manager: manager, options: options, config: config, serving: serving, rest: restConfig, clock: clock.RealClock{}}
	gateKeeper, err := parts.wire(ctx)
	if err != nil {
		return err
	}
	if err := manager.Start(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("run: %w", err)
	}
	return leave(ctx, manager.GetAPIReader(), gateKeeper)
}

// leave takes the gate down if labguard itself is being removed. A mere restart leaves it standing.
func leave(ended context.Context, live client.Reader, gateKeeper *gate.Reconciler) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ended), stopWithin)
	defer cancel()
	return gateKeeper.Leave(ctx, live)
}

func newManager(config *rest.Config, options *options, serving *serving) (ctrl.Manager, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	for _, collector := range slices.Concat(metrics.Collectors(), metrics.RegistryCollectors()) {
		if err := controllermetrics.Registry.Register(collector); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	metricsOptions := metricsserver.Options{BindAddress: options.metrics, SecureServing: options.metricsSecure}
	if options.metricsSecure {
		metricsOptions.FilterProvider = onlyScrapers
	}
	timeout := stopWithin
	return ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Cache: cacheOptions(), Metrics: metricsOptions, HealthProbeBindAddress: options.probes, WebhookServer: serving.server(options),
		LeaderElection: options.leaderElect, LeaderElectionID: "labguard", LeaderElectionNamespace: options.namespace,
		LeaderElectionReleaseOnCancel: true, GracefulShutdownTimeout: &timeout,
		Client: client.Options{FieldOwner: "labguard"},
	})
}

// parts are what the wiring puts together.
type parts struct {
	manager ctrl.Manager
	options *options
	config  *configuration
	serving *serving
	rest    *rest.Config
	clock   clock.WithTicker
}

// wire puts adapters, controllers and webhooks together.
func (p *parts) wire(ctx context.Context) (*gate.Reconciler, error) {
	secrets := registry.NewPullSecrets(p.manager.GetAPIReader(), p.clock)
	resolver, err := registry.New(registry.Config{Registries: p.config.Registries, Identity: p.options.identity()}, secrets, p.clock)
	if err != nil {
		return nil, err
	}
	kinds := &served.Kinds{Reader: p.manager.GetClient(), Mapper: p.manager.GetRESTMapper()}
	if err := kinds.SetupWithManager(p.manager); err != nil {
		return nil, fmt.Errorf("watch the kinds that are served: %w", err)
	}
	if err := p.webhooks(ctx, resolver); err != nil {
		return nil, err
	}
	gateKeeper, err := p.controllers(resolver, kinds)
	if err != nil {
		return nil, err
	}
	for _, runnable := range []interface{ Start(context.Context) error }{resolver, p.serving.source, p.serving} {
		if err := p.manager.Add(runnable); err != nil {
			return nil, fmt.Errorf("add a part: %w", err)
		}
	}
	return gateKeeper, p.probes()
}

func (p *parts) webhooks(ctx context.Context, resolver *registry.Resolver) error {
	views := rollouts.NewViews(p.manager.GetClient())
	if err := views.Watch(ctx, p.manager.GetCache()); err != nil {
		return err
	}
	handlers := &rollouts.Gate{
		Reader: views, Facts: resolver, Clock: p.clock, Wait: p.config.Admission.Wait.Duration, User: p.options.user,
	}
	server := p.manager.GetWebhookServer()
	server.Register(rollouts.MutatePath, &webhook.Admission{Handler: handlers.Mutating(), RecoverPanic: recoverPanic(), LogConstructor: plainLog})
	server.Register(rollouts.ValidatePath, &webhook.Admission{Handler: handlers.Validating(), RecoverPanic: recoverPanic(), LogConstructor: plainLog})
	return nil
}

// plainLog is the logger of a request as it is: the handlers write no log, and encoding the object, the user and so on for each request costs time.
func plainLog(base logr.Logger, _ *admission.Request) logr.Logger { return base }

func recoverPanic() *bool {
	yes := true
	return &yes
}

func (p *parts) controllers(resolver *registry.Resolver, kinds *served.Kinds) (*gate.Reconciler, error) {
	excluded := p.config.excluded(p.options.namespace)
	gateKeeper := &gate.Reconciler{
		Client: p.manager.GetClient(), Live: p.manager.GetAPIReader(), Served: kinds, Authority: p.serving, Clock: p.clock, Random: rand.Float64,
		Namespace: p.options.namespace, Excluded: excluded,
		Gate: desiredgate.Config{
			GitOpsNamespaces: p.config.GitOpsNamespaces, LabguardUser: p.options.user,
			Endpoint: desiredgate.Endpoint{URL: p.options.webhookURL, ServiceNamespace: p.options.namespace, ServiceName: webhookService},
		},
	}
	books := &enforcement.Reconciler{
		Client: p.manager.GetClient(), Live: p.manager.GetAPIReader(), Served: kinds, Clock: p.clock, SampleEvery: sampleEvery, Random: rand.Float64,
		Prover:  &enforcement.Canary{Config: p.rest, Reader: p.manager.GetClient()},
		Serving: func() error { return p.manager.GetWebhookServer().StartedChecker()(nil) },
	}
	workloads := &labworkload.Reconciler{
		Client: p.manager.GetClient(), Live: p.manager.GetAPIReader(), Facts: resolver, Served: kinds, Clock: p.clock, Random: rand.Float64,
		Recorder: p.manager.GetEventRecorder("labguard"), Excluded: excluded, Issuers: p.issuers(),
		Platform: labworkload.Platform{
			TrustDomain: p.config.TrustDomain, ClusterDomain: p.config.ClusterDomain,
			DNSNamespace: p.config.DNS.Namespace, DNSService: p.config.DNS.Service, NodeLocalDNS: p.config.nodeLocal(),
		},
	}
	if err := gateKeeper.SetupWithManager(p.manager, p.serving.rotated, kinds); err != nil {
		return nil, fmt.Errorf("set up the gate: %w", err)
	}
	if err := books.SetupWithManager(p.manager, kinds); err != nil {
		return nil, fmt.Errorf("set up enforcement: %w", err)
	}
	if err := workloads.SetupWithManager(p.manager, kinds, resolver.Notify); err != nil {
		return nil, fmt.Errorf("set up LabWorkloads: %w", err)
	}
	return gateKeeper, nil
}

func (p *parts) probes() error {
	if err := p.manager.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("add the health check: %w", err)
	}
	checks := map[string]healthz.Checker{"webhooks": p.manager.GetWebhookServer().StartedChecker(), "certificate": p.serving.healthy}
	for name, check := range checks {
		if err := p.manager.AddReadyzCheck(name, check); err != nil {
			return fmt.Errorf("add the readiness check %s: %w", name, err)
		}
	}
	return nil
}

// issuers are the configured issuers in the words of the API.
func (p *parts) issuers() []labworkload.Issuer {
	issuers := make([]labworkload.Issuer, len(p.config.Issuers))
	for i, one := range p.config.Issuers {
		issuers[i] = labworkload.Issuer{Kind: v1alpha1.IssuerKind(one.Kind), Namespace: one.Namespace, Name: one.Name}
	}
	return issuers
}
