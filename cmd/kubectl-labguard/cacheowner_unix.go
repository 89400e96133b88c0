// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// othersMayWrite are the rights of the group and of everybody else to write.
const othersMayWrite fs.FileMode = 0o022

// ours says why what a file says may be from another user of the machine. Facts about images decide, so they are taken only from whoever runs the plugin.
func ours(info fs.FileInfo) error {
	owner, known := info.Sys().(*syscall.Stat_t)
	switch {
	case !known:
		return errors.New("nobody knows whose it is")
	case int(owner.Uid) != os.Geteuid():
		return fmt.Errorf("it belongs to user %d and not to you", owner.Uid)
	case info.Mode()&othersMayWrite != 0:
		return errors.New("others may write it: chmod go-w takes that away")
	default:
		return nil
	}
}
