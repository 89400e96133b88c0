// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command verify holds what the Makefile needs beyond make and Go, so that no
// target needs a shell with grep, awk or find.
//
//	go run ./hack/verify help
//	go run ./hack/verify tree
//	go run ./hack/verify coverage -profile FILE -min PERCENT PACKAGE...
//	go run ./hack/verify fuzz -time DURATION PACKAGE...
//
// It uses the standard library, the go command and git and nothing else, and
// changes nothing.
package main
