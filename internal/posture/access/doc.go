// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package access decides whether somebody may get into a protected pod, change what runs in a governed namespace, or take a token of a listed
// machine; and whether labguard may say that multi-factor logins are enforced. Admission, controllers and reports ask the same functions.
//
// It is pure: no client, no context, no logger, no clock. It knows neither API objects nor training records, only what its input says of them. The
// zero value of every answer refuses, and what is not known is never taken for proven.
package access
