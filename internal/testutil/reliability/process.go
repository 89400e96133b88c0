// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reliability

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// reconcileTimeout is for a reconcile that hangs until its context ends.
const reconcileTimeout = 30 * time.Second

// kindSet may be used from several goroutines. The zero value is empty.
type kindSet struct {
	mu    sync.Mutex
	kinds map[schema.GroupKind]bool
}

func (k *kindSet) set(kinds ...schema.GroupKind) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kinds = map[schema.GroupKind]bool{}
	for _, kind := range kinds {
		k.kinds[kind] = true
	}
}

func (k *kindSet) has(kind schema.GroupKind) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kinds[kind]
}

// process is one life of the operator, from its start until it is stopped.
type process struct {
	trial       *trial
	controllers []Controller
	missing     kindSet
	seen        []map[reconcile.Request]bool

	mu     sync.Mutex
	dead   bool
	cancel context.CancelFunc
	// failed and done are what happened in the reconcile that runs.
	failed []failure
	done   []Call
}

type failure struct {
	call Call
	err  error
}

func (t *trial) newProcess() *process {
	p := &process{trial: t}
	p.controllers = t.scenario.New(t.world, newTap(t.env.operator(), p))
	p.seen = make([]map[reconcile.Request]bool, len(p.controllers))
	for i := range p.seen {
		p.seen[i] = map[reconcile.Request]bool{}
	}
	return p
}

// do is where every call of the process passes.
func (p *process) do(ctx context.Context, r request) error {
	if p.isDead() {
		return errDead
	}
	call, v := p.trial.judge(r.call)
	if v.err == nil {
		err := r.make()
		p.trial.answered(ctx, call, err)
		if err == nil {
			p.mu.Lock()
			p.done = append(p.done, call)
			p.mu.Unlock()
		}
		return err
	}
	if v.sent {
		p.trial.answered(ctx, call, r.blind())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = append(p.failed, failure{call, v.err})
	if errors.Is(v.err, errDead) {
		p.dead = true
		p.cancel()
	}
	return v.err
}

func (p *process) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// report is what a pass did.
type report struct {
	writes []Call
	sent   int
	hit    bool
	errs   []string
	soon   time.Duration
}

// quiet reports whether there is nothing left to do.
func (r report) quiet() bool { return len(r.writes) == 0 && len(r.errs) == 0 && r.soon == 0 }

// String says why the pass was not quiet.
func (r report) String() string {
	return fmt.Sprintf("writes %v, errors %q, asked to run again in %v", r.writes, r.errs, r.soon)
}

// pass runs every reconciler for all that exists, as a resync does.
func (p *process) pass(ctx context.Context) (report, error) {
	p.trial.startPass()
	var r report
	order := indexes(len(p.controllers), p.trial.reversed)
	for _, i := range order {
		requests, err := p.requests(ctx, i)
		if err != nil {
			return r, err
		}
		for _, j := range indexes(len(requests), p.trial.reversed) {
			if p.isDead() {
				break
			}
			if err := p.reconcile(ctx, i, requests[j], &r); err != nil {
				return r, err
			}
		}
	}
	r.writes, r.sent = p.trial.endPass()
	return r, nil
}

func indexes(n int, reversed bool) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	if reversed {
		slices.Reverse(all)
	}
	return all
}

// requests are those for all that exists and those for what is newly gone.
func (p *process) requests(ctx context.Context, i int) ([]reconcile.Request, error) {
	requests, err := p.controllers[i].Requests(ctx, p.trial.world)
	if err != nil {
		return nil, fmt.Errorf("requests of %s: %w", p.controllers[i].Name, err)
	}
	var gone []reconcile.Request
	for request := range p.seen[i] {
		if !slices.Contains(requests, request) {
			gone = append(gone, request)
		}
	}
	slices.SortFunc(gone, func(a, b reconcile.Request) int {
		return strings.Compare(a.String(), b.String())
	})
	clear(p.seen[i])
	for _, request := range requests {
		p.seen[i][request] = true
	}
	return append(requests, gone...), nil
}

// reconcile makes one call of one reconciler. Its error is a finding.
func (p *process) reconcile(ctx context.Context, i int, request reconcile.Request, r *report) error {
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	p.mu.Lock()
	p.failed, p.done, p.cancel = nil, nil, cancel
	p.mu.Unlock()
	who := fmt.Sprintf("%s %q", p.controllers[i].Name, request.Name)

	result, err, crash := protected(ctx, p.controllers[i].Reconcile, request)
	if crash != nil {
		return fmt.Errorf("reconcile of %s after %v: %w", who, p.failures(), crash)
	}
	if p.isDead() {
		return nil
	}
	again := result.RequeueAfter > 0 || result.Requeue //nolint:staticcheck // Whoever still sets Requeue is waiting all the same.
	if err != nil {
		r.errs = append(r.errs, fmt.Sprintf("%s: %v", who, err))
	}
	if err != nil || again {
		p.seen[i][request] = true
	}
	if result.Requeue { //nolint:staticcheck // As above.
		r.soon = max(r.soon, time.Millisecond)
	}
	hit := len(p.failures()) > 0
	looks := err == nil && !hit && result.RequeueAfter == p.trial.scenario.Looks
	if after := result.RequeueAfter; after > 0 && after <= p.trial.scenario.soon() && !looks {
		r.soon = max(r.soon, after)
	}
	r.hit = r.hit || hit
	return p.swallowed(who, err, again)
}

// swallowed finds a call that failed and that nobody will try again: without an
// error or a requeue nothing wakes the reconciler.
func (p *process) swallowed(who string, err error, again bool) error {
	terminal := errors.Is(err, reconcile.TerminalError(nil))
	if again || (err != nil && !terminal) {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.failed {
		if terminal && apierrors.IsInvalid(f.err) {
			continue
		}
		if p.trial.scenario.MayIgnore != nil && p.trial.scenario.MayIgnore(f.call) {
			continue
		}
		retried := slices.ContainsFunc(p.done, func(c Call) bool { return c.shape() == f.call.shape() && c.Key == f.call.Key })
		if !retried {
			return fmt.Errorf("reconcile of %s swallowed the failure of %s (%w): it returned neither an error that is retried nor a requeue", who, f.call, f.err)
		}
	}
	return nil
}

func (p *process) failures() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, f := range p.failed {
		all = append(all, fmt.Sprintf("%s: %v", f.call, f.err))
	}
	return all
}

// protected turns a panic into an error with its stack.
func protected(ctx context.Context, f reconcile.Func, request reconcile.Request) (result reconcile.Result, err, crash error) {
	defer func() {
		if value := recover(); value != nil {
			crash = fmt.Errorf("panic: %v\n%s", value, debug.Stack())
		}
	}()
	result, err = f(ctx, request)
	return result, err, nil
}
