// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command chart writes what charts/labguard has of config/: the definitions of labguard's kinds, its rights and its alerts, as templates. `make generate`
// runs it, so that Helm and kustomize cannot drift apart; its tests compare everything else that both render, and hold the chart against wrong values, older
// clusters and the restricted pod security standard. It is a module of its own, so that nothing of Helm gets into the operator's.
package main
