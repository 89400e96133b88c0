// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package flux runs the real kustomize-controller of Flux against a real API server with labguard at work, and looks at what either of them writes and says:
// hack/flux has the controller. There is no Git and no source-controller: the tests serve the content of a repository and write the status of the
// GitRepository. What is seen here stands in docs/gitops/README.md.
package flux
