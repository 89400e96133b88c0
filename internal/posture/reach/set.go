// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reach

import "slices"

// ordered are values that have neighbours, such as ports and addresses.
type ordered[T any] interface {
	Compare(other T) int
	Next() T
	Prev() T
}

// span is all values from lo to hi, both included.
type span[T ordered[T]] struct {
	lo, hi T
}

// set is a set of values as sorted spans that neither overlap nor touch. The zero value is empty.
type set[T ordered[T]] []span[T]

// newSet puts spans in any order into one set.
func newSet[T ordered[T]](spans ...span[T]) set[T] {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b span[T]) int { return a.lo.Compare(b.lo) })
	var merged set[T]
	for _, next := range spans {
		if last := len(merged) - 1; last >= 0 && (next.lo.Compare(merged[last].hi) <= 0 || next.lo.Compare(merged[last].hi.Next()) == 0) {
			if next.hi.Compare(merged[last].hi) > 0 {
				merged[last].hi = next.hi
			}
			continue
		}
		merged = append(merged, next)
	}
	return merged
}

func (s set[T]) union(other set[T]) set[T] {
	switch {
	case len(s) == 0:
		return other
	case len(other) == 0:
		return s
	default:
		return newSet(slices.Concat(s, other)...)
	}
}

func (s set[T]) minus(other set[T]) set[T] {
	var left set[T]
	for _, rest := range s {
		gone := false
		for _, cut := range other {
			if cut.hi.Compare(rest.lo) < 0 {
				continue
			}
			if cut.lo.Compare(rest.hi) > 0 {
				break
			}
			if cut.lo.Compare(rest.lo) > 0 {
				left = append(left, span[T]{rest.lo, cut.lo.Prev()})
			}
			if cut.hi.Compare(rest.hi) >= 0 {
				gone = true
				break
			}
			rest.lo = cut.hi.Next()
		}
		if !gone {
			left = append(left, rest)
		}
	}
	return left
}

func (s set[T]) intersect(other set[T]) set[T] {
	return s.minus(s.minus(other))
}

func (s set[T]) has(value T) bool {
	_, found := slices.BinarySearchFunc(s, value, func(within span[T], value T) int {
		switch {
		case within.hi.Compare(value) < 0:
			return -1
		case within.lo.Compare(value) > 0:
			return 1
		default:
			return 0
		}
	})
	return found
}

func (s set[T]) within(other set[T]) bool {
	return len(s.minus(other)) == 0
}
