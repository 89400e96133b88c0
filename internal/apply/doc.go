// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apply writes children: typed server-side apply with one field owner, the full intent each time, and only if the live object
// does not carry that intent already, so that a reconcile without news writes nothing. It never adopts an object of somebody else.
package apply
