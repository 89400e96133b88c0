// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authority makes certificates for tests: authorities, and leaves that are right or wrong in one way. Keys are made anew in each run.
package authority
