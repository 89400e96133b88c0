// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package netns gives tests a network of their own: a Linux network namespace, as a pod has one, and a second one that stands for the node or for
// another pod. Everything in it goes when the process of the test ends, however it ends.
package netns
