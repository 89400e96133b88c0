// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package manifests gives tests a corpus of manifests of all kinds that the gate judges, good and bad, by hand and as Helm renders them, so that those who
// answer about manifests can be held against each other. It knows no answer itself.
package manifests
