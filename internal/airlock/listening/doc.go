// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package listening keeps the listeners that are wanted. One that is wanted no longer is closed, one that cannot be opened is reported and tried again, and all
// others are left alone. What is done with a connection is the business of whoever made the set.
package listening
