// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ask asks airlocks, over mutual TLS with labguard's own identity, what they see, and tries from the outside whether ports are closed that are to
// be closed. It satisfies what the LabWorkload controller and the controller of bundles declare.
//
// It goes to the pod addresses that it is given and to no others, sends nothing to a port of an application, and believes what an airlock says about its
// own pod alone. It decides nothing.
package ask
