// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package process starts the parts of a cluster as processes, notices when one
// ends and stops them. No process that it starts outlives its parent.
package process
