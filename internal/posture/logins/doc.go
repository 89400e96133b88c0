// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package logins reads what LabWorkloads and IdentityProviders say about logins into the words of posture/access.
//
// It is pure, and decides nothing. What the API would never let in is read so that it lets nobody in.
package logins
