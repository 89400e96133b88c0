// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package training reads what a learning management system exports, as CSV or JSON, into records of who has completed which course. Every line that
// is no record is reported, and the others are kept.
//
// What it reads is bounded and comes from others: columns and keys that it does not know are left out, so that names and addresses of people go no
// further, and what it reports repeats no value. It must not talk to a cluster or read a clock; whoever calls it opens the file and writes the objects.
package training
