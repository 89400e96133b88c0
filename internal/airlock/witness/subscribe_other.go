// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package witness

import "errors"

// Subscribe works on Linux alone.
func Subscribe() (Events, error) { return nil, errors.ErrUnsupported }
