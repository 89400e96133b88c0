// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/labguard/labguard/hack/devcluster/internal/component"
	"github.com/labguard/labguard/hack/devcluster/internal/install"
	"github.com/labguard/labguard/hack/devcluster/internal/process"
)

// stopGrace is how long a component may take to end by itself.
const stopGrace = 10 * time.Second

// A runner has the parts of one running cluster.
type runner struct {
	setup
	starter process.Starter
	// background ends what runs inside of this process.
	background context.CancelFunc

	// mutex guards the fields below: components start in parallel.
	mutex   sync.Mutex
	out     io.Writer
	running map[string]*process.Process
	// died gets every component that ends.
	died chan *process.Process
}

func newRunner(s setup, starter process.Starter, out io.Writer) *runner {
	return &runner{
		setup:      s,
		starter:    starter,
		background: func() {},
		out:        out,
		running:    map[string]*process.Process{},
		died:       make(chan *process.Process, 8),
	}
}

func (r *runner) say(format string, args ...any) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	_, _ = fmt.Fprintf(r.out, format+"\n", args...)
}

// start brings everything up and returns when all of it can be used.
func (r *runner) start(ctx context.Context, objects []*unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if err := r.startAPI(ctx); err != nil {
		return err
	}
	config, err := adminConfig(r.kubeconfig())
	if err != nil {
		return err
	}
	begun := time.Now()
	r.say("installing cert-manager's and other given kinds")
	if err := install.Apply(ctx, config, objects); err != nil {
		return err
	}
	r.say("kinds served after %s", since(begun))
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.startControllers(groupCtx, config) })
	if r.node != nil {
		group.Go(func() error { return r.startNode(groupCtx, config) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return r.writeState()
}

// prepare makes all files that the components read, and the registry.
func (r *runner) prepare(ctx context.Context) error {
	var err error
	if r.ports, err = choosePorts(ctx, r.layout.ports()); err != nil {
		return err
	}
	if r.identities, err = newIdentities(r.layout, r.server()); err != nil {
		return err
	}
	if err := writeAuditPolicy(r.layout); err != nil {
		return err
	}
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.background = cancel
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address(r.Registry))
	if err != nil {
		return fmt.Errorf("start registry: %w", err)
	}
	if r.node == nil {
		return serveRegistry(background, r.layout, listener)
	}
	return r.joinNetwork(background, listener)
}

func (r *runner) server() string { return "https://" + address(r.APIServer) }

// startAPI starts etcd and the API server at once: the API server spends its
// first second on itself, and waits for etcd if it has to.
func (r *runner) startAPI(ctx context.Context) error {
	etcdTLS, err := r.etcdTLS()
	if err != nil {
		return err
	}
	serverTLS, err := r.serverTLS()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return r.startOne(ctx, component.Etcd, probeURL("https://"+address(r.Etcd)+"/health", etcdTLS))
	})
	group.Go(func() error {
		return r.startOne(ctx, component.APIServer, probeURL(r.server()+"/readyz", serverTLS))
	})
	return group.Wait()
}

func (r *runner) startControllers(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	for name, ready := range map[string]probe{
		component.ControllerManager: probeControllers(client),
		component.Scheduler:         probeURL("https://"+address(r.Scheduler)+"/healthz", anyCertificate()),
		component.CertManager:       probeURL("http://"+address(r.CertManager)+"/healthz", nil),
	} {
		group.Go(func() error { return r.startOne(ctx, name, ready) })
	}
	return group.Wait()
}

// startOne starts the component called name and returns when ready succeeds.
func (r *runner) startOne(ctx context.Context, name string, ready probe) error {
	return r.startCommand(ctx, process.Command{
		Name: name, Path: r.starter.Path, Args: append([]string{name}, r.arguments(name)...), Log: r.log(name),
	}, ready)
}

func (r *runner) startCommand(ctx context.Context, c process.Command, ready probe) error {
	begun, name := time.Now(), c.Name
	r.say("starting %s", name)
	p, err := r.starter.StartCommand(ctx, c)
	if err != nil {
		return err
	}
	r.mutex.Lock()
	r.running[name] = p
	r.mutex.Unlock()
	go func() {
		<-p.Done()
		r.died <- p
	}()
	if err := p.Await(ctx, ready); err != nil {
		return err
	}
	r.say("%s is ready after %s", name, since(begun))
	return nil
}

func (r *runner) writeState() error {
	s := state{
		PID:        os.Getpid(),
		Kubeconfig: r.kubeconfig(),
		Server:     r.server(),
		Registry:   address(r.Registry),
		AuditLog:   r.auditLog(),
		Components: map[string]componentState{},

		AuthenticationConfig: r.authenticationConfig,
	}
	ports := map[string]int{
		component.Etcd:              r.Etcd,
		component.APIServer:         r.APIServer,
		component.ControllerManager: r.ControllerManager,
		component.Scheduler:         r.Scheduler,
		component.CertManager:       r.CertManager,
	}
	if r.node != nil {
		s.Node = r.nodeState()
		ports[component.Policy] = r.Policy
		ports[component.Node] = 0
	}
	for name, port := range ports {
		s.Components[name] = newComponentState(r.running[name], port)
	}
	return s.write(r.state())
}

// wait returns nil when ctx ends, and an error when a component does.
func (r *runner) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case p := <-r.died:
		return p.Failure()
	}
}

// stopOrder has clients before what they are clients of; components of one step
// stop at the same time.
var stopOrder = [][]string{
	{component.Node, component.Policy, component.CertManager, component.Scheduler, component.ControllerManager},
	{component.APIServer},
	{component.Etcd},
}

// stop ends all that runs, and returns when it is gone.
func (r *runner) stop() error {
	var err error
	if removeErr := os.Remove(r.state()); removeErr != nil && !errors.Is(removeErr, os.ErrNotExist) {
		err = fmt.Errorf("stop: %w", removeErr)
	}
	for _, step := range stopOrder {
		var stopped sync.WaitGroup
		for p := range slices.Values(r.among(step)) {
			stopped.Go(func() { p.Stop(stopGrace) })
		}
		stopped.Wait()
	}
	r.background()
	return err
}

// among are the processes of those components that were started.
func (r *runner) among(components []string) []*process.Process {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var processes []*process.Process
	for _, c := range components {
		if p := r.running[c]; p != nil {
			processes = append(processes, p)
		}
	}
	return processes
}

// adminConfig is for many requests at once.
func adminConfig(kubeconfig string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	config.QPS = -1
	return config, nil
}
