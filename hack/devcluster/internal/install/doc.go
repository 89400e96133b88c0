// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package install puts the objects into a new cluster that it should begin
// with: the kinds of cert-manager and the rights that cert-manager needs.
//
// certmanager/ is a copy of deploy/crds of the cert-manager module, as a module
// cannot embed files of another one. `go generate ./...` makes it anew after a
// version change, and a test fails until that was done.
package install

//go:generate go run ./copycrds
