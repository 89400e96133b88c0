// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import "github.com/labguard/labguard/internal/posture"

// Facts are what is known of an image, and where that comes from; no basis if nothing is.
func (s *Seen) Facts(query posture.ImageQuery) (posture.ImageFacts, Basis) { return s.facts(query) }
