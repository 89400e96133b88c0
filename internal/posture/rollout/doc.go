// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rollout puts the question together that posture decides: may this write bring its images? Admission asks it before the write, the controller of
// holds when it looks whether one can be released, and reports about what is there. They give it what they have gathered, so that for equal facts
// they cannot disagree.
//
// It is pure: it reads no cache and no clock, and knows registries only through a function.
package rollout
