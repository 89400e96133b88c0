// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authentication builds what the API server has to be told about an identity provider, so that the claims of its tokens arrive where labguard
// looks for them: an AuthenticationConfiguration (KEP-3331), which is a file beside the API server and no object.
//
// A claim of an unexpected type must never keep anybody from logging in: each expression looks at the type first, and what is not as it should be
// arrives as if it were not there.
package authentication
