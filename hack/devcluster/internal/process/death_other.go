// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package process

import "syscall"

// dieWithParent does nothing where the kernel has no such thing: the lifeline
// alone has to do.
func dieWithParent(*syscall.SysProcAttr) {}

// OutliveParent is what every child does here.
func OutliveParent(*syscall.SysProcAttr) {}
