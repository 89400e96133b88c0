// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bench measures what labguard costs a write, end to end: dry-run creates of a Deployment at a real API server (hack/devcluster), in a
// namespace without webhook, in one with a webhook of the same form that allows everything at once, and in one that labguard governs. The three
// take turns in small blocks of one run, so that whatever else the machine does hits them alike. It prints a table to stdout and its progress to
// stderr, ends after -limit at the latest, and leaves no process and no folder behind.
package main
