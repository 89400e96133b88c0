// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package crd

import "embed"

// Bases has one file for each CustomResourceDefinition, under bases/.
//
//go:embed bases/*.yaml
var Bases embed.FS
