// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package docs has tests only: they read all pages, and fail for a link that leads nowhere, for a LabWorkload in a page that the API would not take, and
// for a block of commands that no test reads. What the commands do is tried in test/docs/commands, test/kubectl, internal/e2e and others.
//
// A block that cannot run in a test has a comment right above it, which says why: <!-- not run here: it logs in with a browser -->.
package docs
