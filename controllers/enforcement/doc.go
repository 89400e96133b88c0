// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package enforcement keeps the gate of each namespace: it lets a canary prove that the webhooks are called, begins the enforcement epoch,
// writes down what was admitted, and ends recovery. One reconcile looks at one namespace.
package enforcement
