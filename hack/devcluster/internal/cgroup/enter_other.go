//go:build !linux

// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import "errors"

// Enter fails: there are no cgroups.
func Enter(string) error { return errors.New("there are no cgroups on this system") }

// MountRoot fails as Enter does.
func MountRoot() error { return Enter("") }
