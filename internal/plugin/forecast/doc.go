// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package forecast says what time alone will change: which images turn stale, which certificates, exemptions, exceptions and trainings end, and which
// enforcement begins, by when.
//
// It is pure. It says what labguard knows now: what somebody pushes, renews or imports meanwhile makes it better. It counts people and names none.
package forecast
