// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gitops holds kstatus, Flux and Argo CD to one table of states of labguard's objects. It has the code that the tools judge by themselves: kstatus of
// sigs.k8s.io/cli-utils, the evaluator of Flux's health check expressions, and the Lua of Argo CD. Nothing here needs a cluster. The states are what
// labguard's own code reports: tests of controllers/labworkload and controllers/people write them.
package gitops
