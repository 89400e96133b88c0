// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package netns

import (
	"fmt"
	"runtime"
)

// Permitted says that there are none here.
func Permitted() error { return fmt.Errorf("%s has no namespaces of networks", runtime.GOOS) }
