// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sidecar puts the parts of airlock together and runs them: it reads what is mounted, opens what is to be listened on, and at the end of the pod lets
// connections finish. The parts know nothing of each other beyond what they are handed here.
package sidecar
