// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package access builds the admission policy that refuses a person's way into a governed pod when not even the necessary condition holds: a listed
// machine, or a login whose provider said anything about its methods. It needs no labguard and no parameters, so that it holds while labguard is
// down, and it exists as a file for the API server too, which nobody can delete through the API (KEP-5793).
//
// It must not decide whether a login is good enough: methods, age and training are for the webhook, so that there is one decision.
package access
