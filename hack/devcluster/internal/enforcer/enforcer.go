// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package enforcer

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/knftables"

	"github.com/labguard/labguard/hack/devcluster/internal/policy"
)

// table is the only one of nftables that is touched.
const table = "labguard-policy"

// Main runs the enforcer until it is told to end. args begin with its name.
func Main(args []string) int {
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	address := flags.String("address", "", "where to serve switches, on loopback")
	if err := flags.Parse(args[1:]); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *kubeconfig, *address); err != nil {
		klog.ErrorS(err, "network-policy failed")
		return 1
	}
	return 0
}

func run(ctx context.Context, kubeconfig, address string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	nft, err := knftables.New(knftables.IPv4Family, table)
	if err != nil {
		return fmt.Errorf("use nftables: %w", err)
	}
	e := newEnforcer(nft)
	if err := e.watch(ctx, client); err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- serve(ctx, address, e) }()
	go func() {
		e.apply(ctx)
		failed <- nil
	}()
	return <-failed
}

// An enforcer applies what it knows whenever that changes.
type enforcer struct {
	nft knftables.Interface
	// dirty holds one value while something has changed since the last apply.
	dirty chan struct{}

	// mutex guards the fields below.
	mutex    sync.Mutex
	switches policy.Switches
	// wanted counts changes, applied is the last one that the rules have. changed
	// is closed, and replaced, when applied grows or something else is learned.
	wanted, applied uint64
	changed         chan struct{}
	// announced are the addresses of pods by UID, before their status has them.
	announced map[string]string
	// read returns what the cluster has now.
	read func(announced map[string]string) (policy.Cluster, error)
	// known reports whether a pod with this UID has been seen.
	known func(uid string) bool
}

func newEnforcer(nft knftables.Interface) *enforcer {
	return &enforcer{
		nft:       nft,
		dirty:     make(chan struct{}, 1),
		switches:  policy.Switches{Enforce: true, NodeTraffic: true},
		changed:   make(chan struct{}),
		announced: map[string]string{},
	}
}

// touch says that something changed, and returns which change it was.
func (e *enforcer) touch() uint64 {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return e.touchLocked()
}

func (e *enforcer) touchLocked() uint64 {
	e.wanted++
	e.wake()
	select {
	case e.dirty <- struct{}{}:
	default:
	}
	return e.wanted
}

func (e *enforcer) wake() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// await returns when condition holds, which is asked with the mutex held.
func (e *enforcer) await(ctx context.Context, condition func() bool) error {
	for {
		e.mutex.Lock()
		holds, changed := condition(), e.changed
		e.mutex.Unlock()
		if holds {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the rules: %w", ctx.Err())
		}
	}
}

// setSwitches returns once the rules follow the new ones.
func (e *enforcer) setSwitches(ctx context.Context, change func(*policy.Switches) error) (policy.Switches, error) {
	e.mutex.Lock()
	s := e.switches
	if err := change(&s); err != nil {
		e.mutex.Unlock()
		return s, err
	}
	e.switches = s
	number := e.touchLocked()
	e.mutex.Unlock()
	return s, e.await(ctx, func() bool { return e.applied >= number })
}

// announce returns once the rules know the pod. Its status has the address only
// later, when it runs already.
func (e *enforcer) announce(ctx context.Context, uid, address string) error {
	e.mutex.Lock()
	e.announced[uid] = address
	e.mutex.Unlock()
	if err := e.await(ctx, func() bool { return e.known(uid) }); err != nil {
		return err
	}
	number := e.touch()
	return e.await(ctx, func() bool { return e.applied >= number })
}

// apply writes the rules until ctx ends. Changes that come while it does are
// written together.
func (e *enforcer) apply(ctx context.Context) {
	// Of a change that could not be written the reason may be gone soon after.
	const tryAgainEvery = time.Second
	again := time.NewTicker(tryAgainEvery)
	defer again.Stop()
	failed := false
	for {
		select {
		case <-e.dirty:
		case <-again.C:
			if !failed {
				continue
			}
		case <-ctx.Done():
			return
		}
		number, err := e.applyOnce(ctx)
		if failed = err != nil; failed {
			klog.ErrorS(err, "could not apply the rules")
			continue
		}
		e.mutex.Lock()
		e.applied = number
		e.wake()
		e.mutex.Unlock()
	}
}

func (e *enforcer) applyOnce(ctx context.Context) (uint64, error) {
	e.mutex.Lock()
	number, switches := e.wanted, e.switches
	cluster, err := e.read(e.announced)
	e.mutex.Unlock()
	if err != nil {
		return 0, err
	}
	verdicts, err := cluster.Verdicts()
	if err != nil {
		return 0, err
	}
	if err := replace(ctx, e.nft, policy.Rules(verdicts, switches)); err != nil {
		return 0, err
	}
	klog.InfoS("applied", "change", number, "pods", len(cluster.Pods), "policies", len(cluster.Policies), "isolated", len(verdicts))
	return number, nil
}

// replace exchanges the table for one with objects, in one transaction: no packet
// sees half of it.
func replace(ctx context.Context, nft knftables.Interface, objects []knftables.Object) error {
	tx := nft.NewTransaction()
	// A table that is not there cannot be deleted.
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	tx.Add(&knftables.Table{Comment: new("NetworkPolicies of a development cluster")})
	// Names have to be there before they are used.
	for _, first := range []bool{true, false} {
		for _, o := range objects {
			if declares(o) == first {
				tx.Add(o)
			}
		}
	}
	if err := nft.Run(ctx, tx); err != nil {
		return errors.Join(errors.New("replace the rules"), err)
	}
	return nil
}

func declares(o knftables.Object) bool {
	switch o.(type) {
	case *knftables.Map, *knftables.Chain:
		return true
	default:
		return false
	}
}
