// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package identity reads what the API server says of a user: the name, the groups, and the claims of the login that structured authentication
// (KEP-3331) puts into userInfo.extra.
//
// It judges nothing. What cannot be read is left empty, said in a problem, and never taken for something else: all that it reads may be written by
// others, so that each value is bounded and none is repeated whole.
package identity
