// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apivalidation has tests only: it gives the schemas and CEL rules of
// config/crd to a real API server, and to each rule an object that it accepts
// and one that it refuses with a message that names the field and says what
// would be right.
//
// It is no part of api/v1alpha1, so that those types stay free of a client.
package apivalidation
