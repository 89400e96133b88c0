// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package access builds the admission objects about people: the webhook configurations that have labguard decide; the policy that refuses a way into a
// guarded pod when not even the necessary condition holds, a listed machine or a login that says anything of itself; and the policy that keeps records of
// break glass. The first policy needs no labguard and no parameters, so that it holds while labguard is down, and it exists as a file for the API server
// too, which nobody can delete through the API (KEP-5793).
//
// It must not decide whether a login is good enough: methods, age and training are for the webhook, so that there is one decision. What is not asked
// about here would be let through there.
package access
