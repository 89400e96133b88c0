// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kubectl has the tests of the kubectl plugin as a program, against a real API server, by people who have just the roles that the documentation
// gives them. There is nothing here but tests.
package kubectl
