// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command release makes the container images of labguard, and says what is in them, with the Go command and git and without a container engine.
// `make images` calls it; docs/container-images.md is for its users.
//
// It compiles a fresh clone of the commit that is checked out, and never the checkout itself: no file that git ignores gets in, and the Go
// command stamps the revision also where the checkout is a worktree. What it makes is written to dist/, and pushed if it is told to.
//
// This package runs programs, writes files and asks registries. What an image is made of is decided in oci and spdx, which do neither.
package main
