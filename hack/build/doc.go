// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command build compiles the programs that working on labguard needs and that
// take minutes to compile: the development cluster, what a node of it needs, a
// controller of Flux, Helm and the pinned tools.
//
//	go run ./hack/build devcluster
//	go run ./hack/build flux
//	go run ./hack/build helm
//	go run ./hack/build node
//	go run ./hack/build tools
//
// What it compiles is kept outside the checkout, in LABGUARD_CACHE or else the
// user's cache folder, under a key made of everything that goes into it. A
// second checkout, a branch or a `git clean` therefore never compiles the same
// program twice; bin/ in the checkout only holds links.
//
// It uses the standard library and the go command and nothing else, so that it
// runs on a machine which has only Go. It must not import other packages of
// this repository: it has to work while they do not compile.
package main
