// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package debian gets programs of Debian that cannot be compiled from Go modules:
// runc (with seccomp, which is in C) and nft. What is installed is used. What is
// not is downloaded with the libraries that it needs and unpacked into the cache;
// nothing is installed.
package debian
