// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package commands has tests only: they run what the pages tell a reader to type, read from the pages themselves, against a real API server with the real
// labguard beside it. Where a page shows what a command prints, that is compared.
//
// There is no node, so no pod runs: what needs one is in internal/e2e.
package commands
