// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package thread gives work an operating system thread that lives as long as its
// process. On Linux two things belong to a thread and not to a process: the
// signal that a child gets when its parent ends, and the network namespace that
// sockets and children are made in.
package thread
