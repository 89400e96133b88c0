// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package lab

import (
	"context"
	"errors"
)

// Sniff works on Linux alone.
func Sniff(context.Context, string, uint16, func()) (Wire, error) {
	return Wire{}, errors.ErrUnsupported
}
