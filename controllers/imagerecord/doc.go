// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package imagerecord keeps the image inventory of the cluster: it writes what labguard has read of image digests into ImageRecords, answers from
// them on every replica, and deletes those that nothing refers to any more.
package imagerecord
