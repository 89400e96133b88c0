// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package posture decides. It takes a requirement, an observation and an instant and returns an answer with its evidence and
// the instant at which time alone will change it. Admission, controllers and reports call the same functions, so for equal facts
// they cannot disagree.
//
// It is pure: no client, no context, no logger, no clock of its own. The zero value of an answer is the safe one.
package posture
