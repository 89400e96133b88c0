// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics has every metric of labguard by name. Labels come from closed sets; the widest is the namespace, and never an image, an
// object's name, a digest or a message.
package metrics
