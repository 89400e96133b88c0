// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package people has the tests of the handlers of internal/admission/people behind a real API server: what arrives of exec and its like, whether an answer
// is taken as it is meant, and what becomes of a call without an answer. People are impersonated together with the claims of their login.
//
// Every test has a namespace, an issuer and webhooks of its own. There is nothing here but tests.
package people
