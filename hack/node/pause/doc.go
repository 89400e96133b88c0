// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command pause is what the sandbox of a pod runs: it holds the pod's namespaces
// and, as process 1 where a pod shares its process namespace, takes the exit
// codes of processes that nobody waits for.
package main
