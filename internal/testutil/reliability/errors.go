// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reliability

import (
	"context"
	"fmt"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/api/meta"
)

// lastingPasses is over how many passes a lasting fault stays at least. It stays longer than the reconcilers need without it.
const lastingPasses = 4

// errors tries every way of failing on every kind of call, in the first phase
// in which it comes; in later phases the two worst; and a timeout that was
// applied on every write.
func (h *harness) errors() []experiment {
	var all []experiment
	for _, target := range h.expected.shapes {
		if elsewhere := h.scenario.Elsewhere; elsewhere != nil && elsewhere(target.Verb, target.Kind.Kind) {
			continue
		}
		for _, f := range faults() {
			worst := f.name == "internal-error" && target.Verb.reads()
			if !f.hits(target.shape) || (!target.first && !worst) {
				continue
			}
			all = append(all, h.firstCalls(target, f, 1))
			if f.repeated && target.first {
				all = append(all, h.firstCalls(target, f, 3))
			}
			if f.lasting {
				all = append(all, h.lasting(target, f))
			}
		}
	}
	for _, write := range h.expected.writes {
		for _, f := range faults() {
			if f.sent {
				all = append(all, h.eachWrite(write, f))
			}
		}
	}
	return all
}

// firstCalls fails the first calls of a kind in a phase.
func (h *harness) firstCalls(target phased, f fault, times int) experiment {
	name := fmt.Sprintf("%s on the first %d %s of phase %d", f.name, times, target.shape, target.phase)
	return experiment{"error", name, func(ctx context.Context) error {
		var hits atomic.Int64
		err := h.tell(ctx, tale{prepare: func(t *trial) {
			t.hook = func(call Call) verdict {
				if call.shape() != target.shape || call.Phase != target.phase || hits.Load() >= int64(times) {
					return verdict{}
				}
				hits.Add(1)
				return verdict{err: f.err(call), sent: f.sent}
			}
		}})
		if err == nil && hits.Load() == 0 {
			return fmt.Errorf("%s came in the undisturbed run and did not come now", target.shape)
		}
		return err
	}}
}

func (h *harness) eachWrite(write Call, f fault) experiment {
	name := fmt.Sprintf("%s on write %d %s", f.name, write.Write, write.shape())
	return experiment{"error", name, func(ctx context.Context) error {
		return h.tell(ctx, tale{prepare: func(t *trial) {
			t.hook = func(call Call) verdict {
				if call.Write != write.Write {
					return verdict{}
				}
				return verdict{err: f.err(call), sent: f.sent}
			}
		}})
	}}
}

// lasting fails all calls of a kind for several passes. The reconcilers must
// say so each time, come to rest otherwise, and recover when it is over.
func (h *harness) lasting(target phased, f fault) experiment {
	name := fmt.Sprintf("lasting %s on %s from phase %d", f.name, target.shape, target.phase)
	return experiment{"error", name, func(ctx context.Context) error {
		return h.tell(ctx, tale{chapter: func(ctx context.Context, t *trial) error {
			if t.world.Phase == target.phase {
				if err := t.suffer(ctx, target, f); err != nil {
					return err
				}
			}
			return t.settle(ctx)
		}})
	}}
}

func (t *trial) suffer(ctx context.Context, target phased, f fault) error {
	t.setHook(func(call Call) verdict {
		if call.shape() != target.shape {
			return verdict{}
		}
		return verdict{err: f.err(call), sent: f.sent}
	})
	defer t.setHook(nil)
	if meta.IsNoMatchError(f.err(Call{})) {
		t.process.missing.set(target.Kind)
		defer t.process.missing.set()
	}
	passes := max(lastingPasses, t.expected.passes[target.phase]+1)
	for pass := range passes {
		r, err := t.step(ctx)
		if err != nil {
			return fmt.Errorf("pass %d of the fault: %w", pass+1, err)
		}
		if pass == passes-1 && r.sent > 0 {
			return fmt.Errorf("pass %d of the fault still makes %d successful writes among %v: the reconciler does not come to rest", pass+1, r.sent, r.writes)
		}
	}
	return nil
}
