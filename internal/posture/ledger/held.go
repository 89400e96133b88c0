// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"math"
	"slices"

	"github.com/labguard/labguard/api/v1alpha1"
)

// maxHeldImages is how many images a record says that its root waits for.
const maxHeldImages = 10

// noteHeld writes down which roots are held, since when, and which images they wait for. Jobs and bare pods share one record, and so one note.
func (b *books) noteHeld() {
	for _, record := range b.after {
		record.Spec.Held = nil
	}
	b.held = int32(min(b.seen.HeldOwned, math.MaxInt16)) //nolint:gosec // bounded right here
	shared := NewSet(nil, nil, b.records()).shared
	for _, root := range b.roots {
		if !root.Held() {
			continue
		}
		b.held++
		name := RecordName(root.Kind, root.Name)
		if root.Governance == Ungoverned && b.after[name] == nil {
			continue
		}
		record := b.record(name, root)
		if record.Spec.Held == nil {
			record.Spec.Held = b.heldSince(name)
		}
		set := Set{own: ownOf(record), shared: shared}
		for _, reference := range root.Template.References() {
			if _, admitted := set.Admitted(reference); !admitted && len(record.Spec.Held.Images) < maxHeldImages && !slices.Contains(record.Spec.Held.Images, reference) {
				record.Spec.Held.Images = append(record.Spec.Held.Images, reference)
			}
		}
		slices.Sort(record.Spec.Held.Images)
	}
}

// heldSince begins a note, with the time of the one that is there.
func (b *books) heldSince(name string) *v1alpha1.Hold {
	if before, found := b.before[name]; found && before.Spec.Held != nil {
		return &v1alpha1.Hold{Since: before.Spec.Held.Since}
	}
	return &v1alpha1.Hold{Since: *stamp(b.seen.Now)}
}
