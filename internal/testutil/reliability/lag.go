// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reliability

import (
	"context"
	"fmt"
	"maps"
)

// stalePasses is for how many passes reads stay behind.
const stalePasses = 3

// stale lets reads be behind: by some writes, for whole passes, and, after a
// restart, by as much as anything that ever was.
func (h *harness) stale() []experiment {
	var all []experiment
	for _, lag := range []int{1, 2} {
		all = append(all, experiment{"stale", fmt.Sprintf("reads behind by %d writes", lag), func(ctx context.Context) error {
			return h.tell(ctx, h.behind(func(t *trial) { t.lag = lag }, false))
		}})
	}
	freeze := func(t *trial) { t.frozen = t.past[max(0, len(t.past)-1)] }
	before := func(t *trial) { t.frozen = t.past[max(0, len(t.past)-2)] }
	return append(all,
		experiment{"stale", "reads frozen for some passes", func(ctx context.Context) error {
			return h.tell(ctx, h.behind(freeze, false))
		}},
		experiment{"stale", "reads frozen before each change, new process", func(ctx context.Context) error {
			return h.tell(ctx, h.behind(before, true))
		}},
		experiment{"stale", "new processes that see each moment of the past", func(ctx context.Context) error {
			return h.tell(ctx, tale{
				prepare:  func(t *trial) { t.remember = h.expected.read },
				epilogue: h.timeTravel,
			})
		}},
	)
}

// behind makes each phase begin with passes whose reads are set back.
func (h *harness) behind(set func(t *trial), restart bool) tale {
	return tale{
		prepare: func(t *trial) { t.remember = h.expected.read },
		chapter: func(ctx context.Context, t *trial) error {
			if restart {
				t.restart()
			}
			if err := t.misled(ctx, set); err != nil {
				return err
			}
			return t.settle(ctx)
		},
	}
}

// misled runs passes with reads that are set back. Errors are expected: the
// API server refuses writes that rest on an old version.
func (t *trial) misled(ctx context.Context, set func(t *trial)) error {
	t.mu.Lock()
	set(t)
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.lag, t.frozen = 0, nil
	}()
	for range stalePasses {
		if _, err := t.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// timeTravel starts a new process for each moment of the past, which sees only
// that moment at first: an API server or a cache that is behind after a restart.
// Nothing may be deleted and made anew for it.
func (h *harness) timeTravel(ctx context.Context, t *trial) error {
	_, before, err := t.state(ctx)
	if err != nil {
		return err
	}
	past := t.past
	t.remember = nil
	for i, moment := range past {
		t.restart()
		if err := t.misled(ctx, func(t *trial) { t.frozen = moment }); err != nil {
			return fmt.Errorf("reads as after write %d of %d: %w", i, len(past), err)
		}
		if err := t.settle(ctx); err != nil {
			return fmt.Errorf("reads as after write %d of %d, then caught up: %w", i, len(past), err)
		}
		got, after, err := t.state(ctx)
		if err != nil {
			return err
		}
		if err := h.expected.states[len(h.scenario.Disturb)].differs(got); err != nil {
			return fmt.Errorf("reads as after write %d of %d: %w", i, len(past), err)
		}
		if !maps.Equal(before, after) {
			return fmt.Errorf("reads as after write %d of %d: objects were deleted and made anew: UIDs were %v and are %v", i, len(past), before, after)
		}
	}
	return nil
}
