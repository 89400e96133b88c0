// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	rules "github.com/labguard/labguard/internal/airlock/redirect"
)

// redirect is the init container of clientPath Redirect: it writes rules that send connections to the destinations in args to airlock, and ends.
func redirect(args []string) error {
	parsed, err := rules.Parse(args)
	if err != nil {
		return err
	}
	return rules.Install(parsed)
}
