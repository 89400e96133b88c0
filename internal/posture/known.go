// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import "time"

// KnownSince is the earliest instant at which an image is known to have existed: its creation time by the rules for evidence, if that is plausible and
// not after it was first read, else when it was first read.
func (c Content) KnownSince() time.Time {
	created, _, _ := creation(factsOfImage(c.Digest, c, time.Time{}), c.FirstSeen)
	return Earliest(created, c.FirstSeen)
}
