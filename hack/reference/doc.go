// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command reference writes a page for each kind in docs/reference, from the CustomResourceDefinitions in config/crd/bases: fields with their types,
// defaults, limits and descriptions, and the rules that the API server checks. `make generate` runs it.
//
// It knows nothing that is not in those files, so that the pages cannot say anything else than the API server does.
package main
