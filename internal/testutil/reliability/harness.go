// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reliability

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// harness tries one scenario.
type harness struct {
	env      *Environment
	scenario *Scenario
	expected *reference
}

// reference is the undisturbed run.
type reference struct {
	// states are those at the end of each phase.
	states []state
	// passes is how many passes each phase took.
	passes  map[int]int
	writes  []Call
	shapes  []phased
	deletes []string
	read    []schema.GroupVersionKind
}

// phased is a kind of call and the phase it came in. first marks the first phase.
type phased struct {
	shape
	phase int
	first bool
}

// experiment is one way of disturbing; its error is what went wrong.
type experiment struct {
	group, name string
	run         func(ctx context.Context) error
}

// tale is how one trial goes. All fields are optional.
type tale struct {
	// prepare is called before the input objects exist.
	prepare func(t *trial)
	// chapter brings the reconcilers to rest after Arrange and after each step;
	// nil means trial.settle.
	chapter func(ctx context.Context, t *trial) error
	// epilogue comes after the last phase.
	epilogue func(ctx context.Context, t *trial) error
}

// tell runs one trial and compares the state at the end of each phase.
func (h *harness) tell(ctx context.Context, story tale) (err error) {
	t, err := h.begin(ctx, h.expected)
	defer func() { err = errors.Join(err, t.end(context.WithoutCancel(ctx))) }()
	if err != nil {
		return err
	}
	if _, err = h.live(ctx, t, story); err != nil || story.epilogue == nil {
		return err
	}
	return story.epilogue(ctx, t)
}

// live goes through all phases and returns how each ended. If it is known how
// it should, another end is an error.
func (h *harness) live(ctx context.Context, t *trial, story tale) (states []state, err error) {
	if story.prepare != nil {
		story.prepare(t)
	}
	t.recall(ctx)
	for phase := range len(h.scenario.Disturb) + 1 {
		if err := t.enter(ctx, phase); err != nil {
			return nil, err
		}
		if story.chapter != nil {
			err = story.chapter(ctx, t)
		} else {
			err = t.settle(ctx)
		}
		if err != nil {
			return nil, err
		}
		// A step in the middle of this phase has already begun the next one.
		if t.world.Phase > phase {
			states = append(states, nil)
			continue
		}
		now, _, err := t.state(ctx)
		if err != nil {
			return nil, err
		}
		if h.expected != nil {
			if err := h.expected.states[phase].differs(now); err != nil {
				return nil, fmt.Errorf("phase %d: %w", phase, err)
			}
		}
		states = append(states, now)
	}
	return states, nil
}

// enter makes the change that opens a phase, if it is not there yet.
func (t *trial) enter(ctx context.Context, phase int) error {
	if phase == 0 || t.world.Phase >= phase {
		return nil
	}
	step := t.scenario.Disturb[phase-1]
	if err := step.Do(ctx, t.world); err != nil {
		return fmt.Errorf("step %q: %w", step.Name, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.world.Phase = phase
	t.recall(ctx)
	return nil
}

// undisturbed makes the reference. At the end a further pass, and the first
// pass of a new process, must write nothing.
func (h *harness) undisturbed(ctx context.Context) (ref *reference, err error) {
	t, err := h.begin(ctx, nil)
	defer func() { err = errors.Join(err, t.end(context.WithoutCancel(ctx))) }()
	if err != nil {
		return nil, err
	}
	states, err := h.live(ctx, t, tale{})
	if err != nil {
		return nil, err
	}
	ref = t.reference()
	ref.states = states
	for _, when := range []string{"once more after it has converged", "by a new process after it has converged"} {
		r, err := t.step(ctx)
		if err != nil {
			return nil, err
		}
		if !r.quiet() {
			return nil, fmt.Errorf("reconciled %s: %v; want nothing", when, r)
		}
		t.restart()
	}
	return ref, nil
}

// reference reads off what the run so far has done.
func (t *trial) reference() *reference {
	t.mu.Lock()
	defer t.mu.Unlock()
	ref := &reference{deletes: t.deletes, passes: t.passes}
	for _, call := range t.calls {
		if call.Write > 0 {
			ref.writes = append(ref.writes, call)
		}
		if call.Verb.reads() && call.Subresource == "" && !slices.Contains(ref.read, call.Kind) {
			ref.read = append(ref.read, call.Kind)
		}
		p := phased{shape: call.shape(), phase: call.Phase}
		same := func(o phased) bool { return o.shape == p.shape && o.phase == p.phase }
		if slices.ContainsFunc(ref.shapes, same) {
			continue
		}
		p.first = !slices.ContainsFunc(ref.shapes, func(o phased) bool { return o.shape == p.shape })
		ref.shapes = append(ref.shapes, p)
	}
	return ref
}

// experiments are all there are, given what the undisturbed run does.
func (h *harness) experiments() []experiment {
	all := h.orders()
	all = append(all, h.crashes()...)
	all = append(all, h.errors()...)
	return append(all, h.stale()...)
}

// orders change when things are done: nothing may depend on it.
func (h *harness) orders() []experiment {
	all := []experiment{
		{"order", "the same again", func(ctx context.Context) error { return h.tell(ctx, tale{}) }},
		{"order", "reversed", func(ctx context.Context) error {
			return h.tell(ctx, tale{prepare: func(t *trial) { t.reversed = true }})
		}},
	}
	if len(h.scenario.Disturb) > 0 {
		all = append(all, experiment{"order", "changes while the process is down", func(ctx context.Context) error {
			return h.tell(ctx, tale{chapter: func(ctx context.Context, t *trial) error {
				t.restart()
				return t.settle(ctx)
			}})
		}})
	}
	for i, step := range h.scenario.Disturb {
		for _, write := range h.expected.writes {
			if step.Anytime && write.Phase == i {
				all = append(all, h.midway(i+1, step, write))
			}
		}
	}
	return all
}

// midway lets a step come before a write of the phase that should precede it.
func (h *harness) midway(phase int, step Step, write Call) experiment {
	name := fmt.Sprintf("%s just before write %d %s", step.Name, write.Write, write.shape())
	return experiment{"order", name, func(ctx context.Context) error {
		var failed error
		err := h.tell(ctx, tale{prepare: func(t *trial) {
			t.hook = func(call Call) verdict {
				if call.Write == write.Write {
					failed = step.Do(ctx, t.world)
					t.world.Phase = phase
				}
				return verdict{}
			}
		}})
		return errors.Join(failed, err)
	}}
}

// crashes stop the process at every write, before and after it was made.
func (h *harness) crashes() []experiment {
	var all []experiment
	for _, write := range h.expected.writes {
		for _, sent := range []bool{false, true} {
			when := map[bool]string{false: "before", true: "after"}[sent]
			name := fmt.Sprintf("%s write %d %s", when, write.Write, write.shape())
			all = append(all, experiment{"crash", name, func(ctx context.Context) error {
				return h.tell(ctx, tale{prepare: func(t *trial) {
					t.hook = func(call Call) verdict {
						if call.Write != write.Write {
							return verdict{}
						}
						return verdict{err: errDead, sent: sent}
					}
				}})
			}})
		}
	}
	if len(h.expected.writes) == 0 {
		return all
	}
	return append(all, experiment{"crash", "after every write", func(ctx context.Context) error {
		return h.tell(ctx, tale{prepare: func(t *trial) {
			t.hook = func(call Call) verdict {
				if call.Write == 0 {
					return verdict{}
				}
				return verdict{err: errDead, sent: true}
			}
		}})
	}})
}
