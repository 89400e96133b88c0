// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package outcome turns the error of a reconcile and the next instant at which time changes a verdict into what controller-runtime
// wants. It is the only place that classifies errors.
package outcome
