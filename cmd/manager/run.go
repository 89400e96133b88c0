// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	controllerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	controllermetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/enforcement"
	"github.com/labguard/labguard/controllers/gate"
	"github.com/labguard/labguard/controllers/hold"
	"github.com/labguard/labguard/controllers/imagerecord"
	"github.com/labguard/labguard/controllers/inventory"
	"github.com/labguard/labguard/controllers/labworkload"
	"github.com/labguard/labguard/controllers/served"
	rollouts "github.com/labguard/labguard/internal/admission"
	"github.com/labguard/labguard/internal/airlock/ask"
	desiredgate "github.com/labguard/labguard/internal/desired/gate"
	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/registry"
)

const (
	// stopWithin is how long the process takes to finish what it has begun.
	stopWithin = 20 * time.Second
	// leaseName is the lease of the replica that runs the controllers.
	leaseName = "labguard"
	// sampleEvery is how far two samples of the API servers lie apart.
	sampleEvery = 2 * time.Second
	// Requests a second to the API server; priority and fairness there do the rest.
	clientQPS, clientBurst = 200, 400
)

// run runs what the flags and the configuration file say until the context ends.
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
	if options.isErrand() {
		return runErrand(ctx, options, restConfig)
	}
	parts := &parts{options: options, config: config, rest: restConfig, clock: clock.RealClock{}, sampleEvery: sampleEvery}
	return parts.run(ctx)
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
		err := controllermetrics.Registry.Register(collector)
		// The metrics belong to the process, and a process may run one manager after another.
		if already := (prometheus.AlreadyRegisteredError{}); err != nil && !errors.As(err, &already) {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	metricsOptions := metricsserver.Options{BindAddress: options.metrics, SecureServing: options.metricsSecure}
	if options.metricsSecure {
		metricsOptions.FilterProvider = filters.WithAuthenticationAndAuthorization
		metricsOptions.TLSOpts = []func(*tls.Config){serving.secure}
	}
	timeout, anew := stopWithin, true
	return ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Cache: cacheOptions(), Metrics: metricsOptions, HealthProbeBindAddress: options.probes, WebhookServer: serving.server(options),
		LeaderElection: options.leaderElect, LeaderElectionID: leaseName, LeaderElectionNamespace: options.namespace,
		LeaderElectionReleaseOnCancel: true, GracefulShutdownTimeout: &timeout,
		Client: client.Options{FieldOwner: "labguard"},
		// Names of controllers are checked within the process, where an earlier manager may have had the same ones.
		Controller: controllerconfig.Controller{SkipNameValidation: &anew},
	})
}

// parts are what the wiring puts together.
type parts struct {
	options *options
	config  *configuration
	rest    *rest.Config
	clock   clock.WithTicker
	// limits are those of the registry adapter; zero values are its defaults.
	limits registry.Config
	// sampleEvery is how far two samples of the API servers lie apart.
	sampleEvery time.Duration

	manager ctrl.Manager
	serving *serving
}

// run wires everything and runs until the context ends.
func (p *parts) run(ctx context.Context) error {
	p.serving = newServing(p.rest, p.options)
	var err error
	if p.manager, err = newManager(p.rest, p.options, p.serving); err != nil {
		return fmt.Errorf("prepare the manager: %w", err)
	}
	p.serving.reader = p.manager.GetAPIReader()
	gateKeeper, err := p.wire(ctx)
	if err != nil {
		return err
	}
	if err := p.manager.Start(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("run: %w", err)
	}
	return leave(ctx, p.manager.GetAPIReader(), gateKeeper)
}

// wire puts adapters, controllers and webhooks together.
func (p *parts) wire(ctx context.Context) (*gate.Reconciler, error) {
	if err := imagerecord.IndexFields(ctx, p.manager.GetFieldIndexer()); err != nil {
		return nil, fmt.Errorf("index the caches: %w", err)
	}
	records := imagerecord.NewStore(p.manager.GetClient(), p.manager.GetClient(), p.clock)
	secrets := registry.NewPullSecrets(p.manager.GetAPIReader(), p.clock)
	limits := p.limits
	limits.Registries, limits.Identity, limits.Records = p.config.Registries, p.options.identity(), records
	resolver, err := registry.New(limits, secrets, p.clock)
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
	asker, err := p.trust(kinds)
	if err != nil {
		return nil, err
	}
	gateKeeper, err := p.controllers(ctx, resolver, asker, kinds)
	if err != nil {
		return nil, err
	}
	for _, runnable := range []interface{ Start(context.Context) error }{resolver, records, p.serving.source, p.serving, asker} {
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
		Reader: views, Facts: resolver, Clock: p.clock, Wait: p.config.Admission.Wait.Duration, User: p.options.user, Platform: p.nodes().Platform,
		Airlock: p.config.Airlock.Image,
	}
	server := p.manager.GetWebhookServer()
	server.Register(rollouts.MutatePath, &webhook.Admission{Handler: handlers.Mutating(), RecoverPanic: recoverPanic(), LogConstructor: plainLog})
	server.Register(rollouts.ValidatePath, &webhook.Admission{Handler: handlers.Validating(), RecoverPanic: recoverPanic(), LogConstructor: plainLog})
	return p.peopleWebhooks(ctx)
}

// nodes knows the platform of the nodes; what is new of it is known within a minute.
func (p *parts) nodes() *inventory.Nodes {
	return &inventory.Nodes{Reader: p.manager.GetClient(), Clock: p.clock}
}

// plainLog spares each request the logger that controller-runtime would make for it, with fields that are encoded before anybody writes a line.
func plainLog(base logr.Logger, _ *admission.Request) logr.Logger { return base }

func recoverPanic() *bool {
	yes := true
	return &yes
}

func (p *parts) controllers(ctx context.Context, resolver *registry.Resolver, asker *ask.Asker, kinds *served.Kinds) (*gate.Reconciler, error) {
	excluded := p.config.excluded(p.options.namespace)
	gateKeeper := &gate.Reconciler{
		Client: p.manager.GetClient(), Live: p.manager.GetAPIReader(), Served: kinds, Authority: p.serving, Clock: p.clock, Random: rand.Float64,
		Namespace: p.options.namespace, Excluded: excluded, Holds: hold.Everything{Client: p.manager.GetClient(), Live: p.manager.GetAPIReader()},
		Gate: desiredgate.Config{
			GitOpsNamespaces: p.config.GitOpsNamespaces, LabguardUser: p.options.user,
			Endpoint: desiredgate.Endpoint{URL: p.options.webhookURL, ServiceNamespace: p.options.namespace, ServiceName: webhookService},
		},
		Injection: p.injection(), Access: p.accessObjects(),
	}
	asked, err := p.people(ctx)
	if err != nil {
		return nil, err
	}
	books := &enforcement.Reconciler{
		Client: p.manager.GetClient(), Live: p.manager.GetAPIReader(), Served: kinds, Clock: p.clock, SampleEvery: p.sampleEvery, Random: rand.Float64,
		Prover:  &enforcement.Canary{Config: p.rest, Reader: p.manager.GetClient()},
		Serving: func() error { return p.manager.GetWebhookServer().StartedChecker()(nil) },
		Airlock: p.config.Airlock.Image,
	}
	workloads := &labworkload.Reconciler{
		Client: p.manager.GetClient(), Live: p.manager.GetAPIReader(), Facts: resolver, Served: kinds, Clock: p.clock, Random: rand.Float64,
		Recorder: p.manager.GetEventRecorder("labguard"), Excluded: excluded, Issuers: p.issuers(),
		Platform: labworkload.Platform{
			TrustDomain: p.config.TrustDomain, ClusterDomain: p.config.ClusterDomain,
			DNSNamespace: p.config.DNS.Namespace, DNSService: p.config.DNS.Service, NodeLocalDNS: blocks(p.config.DNS.NodeLocal),
		},
		Sidecars: p.sidecars(), Airlocks: asker, People: asked,
	}
	holds := &hold.Reconciler{
		Client: p.manager.GetClient(), Live: p.manager.GetAPIReader(), Served: kinds, Facts: resolver, Clock: p.clock, Random: rand.Float64,
		Recorder: p.manager.GetEventRecorder("labguard"), Platform: p.nodes().Platform, Airlock: p.config.Airlock.Image,
	}
	if err := p.manager.GetFieldIndexer().IndexField(ctx, &v1alpha1.RolloutRecord{}, gate.EpochField, func(record client.Object) []string {
		return []string{record.GetName()}
	}); err != nil {
		return nil, fmt.Errorf("index rollout records: %w", err)
	}
	records := &imagerecord.Reconciler{
		Client: p.manager.GetClient(), Clock: p.clock, Random: rand.Float64,
		Usage: &imagerecord.Indexed{Reader: p.manager.GetClient(), Live: p.manager.GetAPIReader(), Clock: p.clock},
	}
	if err := records.SetupWithManager(p.manager); err != nil {
		return nil, fmt.Errorf("set up the image inventory: %w", err)
	}
	if err := gateKeeper.SetupWithManager(p.manager, p.serving.rotated, kinds); err != nil {
		return nil, fmt.Errorf("set up the gate: %w", err)
	}
	if err := books.SetupWithManager(p.manager, kinds); err != nil {
		return nil, fmt.Errorf("set up enforcement: %w", err)
	}
	if err := holds.SetupWithManager(p.manager, resolver.Notify); err != nil {
		return nil, fmt.Errorf("set up holds: %w", err)
	}
	if err := workloads.SetupWithManager(p.manager, kinds, resolver.Notify); err != nil {
		return nil, fmt.Errorf("set up LabWorkloads: %w", err)
	}
	return gateKeeper, p.removal()
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

// injection is what the policies of the sidecar depend on and what does not change while the process runs.
func (p *parts) injection() injection.Config {
	_, err := p.manager.GetRESTMapper().RESTMapping(schema.GroupKind{Group: "certificates.k8s.io", Kind: "ClusterTrustBundle"}, "v1")
	config := injection.Config{ClusterTrustBundles: err == nil, CertManagerUser: p.config.CertManagerUser}
	for _, one := range p.config.Issuers {
		config.ProtectedIssuers = append(config.ProtectedIssuers, injection.Issuer{Kind: one.Kind, Namespace: one.Namespace, Name: one.Name})
	}
	return config
}

// issuers are the configured issuers in the words of the API.
func (p *parts) issuers() []labworkload.Issuer {
	issuers := make([]labworkload.Issuer, len(p.config.Issuers))
	for i, one := range p.config.Issuers {
		issuers[i] = labworkload.Issuer{Kind: v1alpha1.IssuerKind(one.Kind), Namespace: one.Namespace, Name: one.Name}
	}
	return issuers
}
