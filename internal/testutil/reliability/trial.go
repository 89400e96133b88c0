// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reliability

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// trial is one run of a scenario in namespaces of its own.
type trial struct {
	env      *Environment
	scenario *Scenario
	world    *World
	process  *process
	reversed bool
	// expected is the undisturbed run; nil while that is being made.
	expected *reference

	mu sync.Mutex
	// hook decides about calls; nil lets them through.
	hook  hook
	calls []Call
	// writes counts writes, in passStart up to the start of the pass.
	writes    int
	passCalls int
	passSent  int
	// passes counts passes by phase.
	passes  map[int]int
	deletes []string
	// generated maps names that the server made up to what they were made of.
	generated  map[string]string
	violations []error
	// past is how the kinds in remember looked after each write.
	remember []schema.GroupVersionKind
	past     []snapshot
	// lag is by how many writes reads are behind; frozen, if not nil, is what
	// they see instead.
	lag    int
	frozen snapshot
}

// begin makes the world and the input objects and starts the operator.
func (h *harness) begin(ctx context.Context, expected *reference) (*trial, error) {
	world, err := h.env.world(ctx, h.scenario)
	t := &trial{env: h.env, scenario: h.scenario, world: world, expected: expected, generated: map[string]string{}}
	if err != nil {
		return t, err
	}
	if err := h.scenario.Arrange(ctx, world); err != nil {
		return t, fmt.Errorf("arrange: %w", err)
	}
	t.restart()
	return t, nil
}

// end removes what the trial has made.
func (t *trial) end(ctx context.Context) error {
	var err error
	if t.scenario.Cleanup != nil {
		err = t.scenario.Cleanup(ctx, t.world)
	}
	return errors.Join(err, t.env.discard(ctx, t.world))
}

// restart replaces the process by one that knows nothing.
func (t *trial) restart() { t.process = t.newProcess() }

// judge records a call and asks the hook about it.
func (t *trial) judge(call Call) (Call, verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	call.Phase = t.world.Phase
	if !call.Verb.reads() && !call.DryRun {
		t.writes++
		call.Write = t.writes
	}
	t.calls = append(t.calls, call)
	if t.hook == nil {
		return call, verdict{}
	}
	return call, t.hook(call)
}

// answered looks at what a call that reached the server has done.
func (t *trial) answered(ctx context.Context, call Call, err error) {
	if call.Write == 0 || err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passSent++
	if call.Verb == VerbDelete || call.Verb == VerbDeleteCollection {
		t.deleted(call)
	}
	if t.scenario.Always != nil {
		if err := t.scenario.Always(ctx, t.world); err != nil {
			t.violations = append(t.violations, fmt.Errorf("after write %d (%s): what must always hold does not: %w", call.Write, call, err))
		}
	}
	t.recall(ctx)
}

func (t *trial) deleted(call Call) {
	if steady, ok := t.generated[call.Key.Name]; ok {
		call.Key.Name = steady
	}
	name := t.world.rename(nil).Replace(call.Kind.Kind + " " + call.Key.String())
	t.deletes = append(t.deletes, name)
	if t.expected == nil || slices.Contains(t.expected.deletes, name) {
		return
	}
	if t.scenario.MayDelete == nil || !t.scenario.MayDelete(call) {
		t.violations = append(t.violations, fmt.Errorf("write %d deleted %s, which the undisturbed run does not delete", call.Write, name))
	}
}

// named notes the name that the server made up for an object.
func (t *trial) named(object client.Object) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.generated[object.GetName()] = steadyName(object)
}

// recall keeps how things are now, if anybody will want to know.
func (t *trial) recall(ctx context.Context) {
	if t.remember == nil {
		return
	}
	now, err := look(ctx, t.world, t.remember)
	if err != nil {
		t.violations = append(t.violations, err)
		return
	}
	t.past = append(t.past, now)
}

// view is the past that reads see, or nil for the present.
func (t *trial) view() *view {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.frozen != nil:
		return &view{world: t.world, objects: t.frozen}
	case t.lag > 0 && len(t.past) > 0:
		return &view{world: t.world, objects: t.past[max(0, len(t.past)-1-t.lag)]}
	default:
		return nil
	}
}

func (t *trial) startPass() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passCalls, t.passSent = len(t.calls), 0
	if t.passes == nil {
		t.passes = map[int]int{}
	}
	t.passes[t.world.Phase]++
}

func (t *trial) endPass() (attempted []Call, sent int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, call := range t.calls[t.passCalls:] {
		if call.Write > 0 {
			attempted = append(attempted, call)
		}
	}
	return attempted, t.passSent
}

// step makes the pass'th pass and lets the clock go on.
func (t *trial) step(ctx context.Context) (report, error) {
	r, err := t.process.pass(ctx)
	err = errors.Join(err, t.violated())
	t.world.Clock.Step(max(time.Second, r.soon))
	return r, err
}

func (t *trial) violated() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(t.violations...)
}

// settle runs passes until one has nothing to do. A process that dies is
// replaced, which may happen at each write once.
func (t *trial) settle(ctx context.Context) error {
	var last report
	for passes, deaths := 0, 0; passes < t.scenario.maxPasses(); passes++ {
		r, err := t.step(ctx)
		if err != nil {
			return err
		}
		if t.process.isDead() {
			deaths++
			if t.expected != nil && deaths > 3*len(t.expected.writes)+3 {
				return fmt.Errorf("no progress: the process was stopped %d times, each time after one write", deaths)
			}
			t.restart()
			passes = -1
			continue
		}
		if last = r; !r.quiet() {
			continue
		}
		if changed, err := t.others(ctx); err != nil || !changed {
			return err
		}
	}
	return fmt.Errorf("phase %d does not converge in %d passes; the last one: %v", t.world.Phase, t.scenario.maxPasses(), last)
}

// others waits for controllers that are not under test and reports whether
// there was something to wait for.
func (t *trial) others(ctx context.Context) (waited bool, err error) {
	if t.scenario.Await == nil {
		return false, nil
	}
	err = wait.PollUntilContextTimeout(ctx, pollEvery, patience, true, func(ctx context.Context) (bool, error) {
		done, err := t.scenario.Await(ctx, t.world)
		waited = waited || !done
		return done, err
	})
	if err != nil {
		return false, fmt.Errorf("phase %d: wait for other controllers: %w", t.world.Phase, err)
	}
	return waited, nil
}

func (t *trial) setHook(h hook) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hook = h
}
