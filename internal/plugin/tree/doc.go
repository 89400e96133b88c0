// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tree draws what the kubectl plugin says: trees and tables, for a terminal in colours and in its width, and plain for everything else.
//
// It is pure: it knows neither the terminal nor the environment, which a Paper describes. Nothing that others have written commands a terminal: every text
// is made visible before it is drawn.
package tree
