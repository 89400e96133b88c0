// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command probe is the program of the pods in the tests of a node:
//
//	probe serve PORT...       answers on TCP and UDP, until it is told to end
//	probe tcp HOST:PORT       prints what a server on TCP answers
//	probe udp HOST:PORT       the same on UDP
//	probe lookup NAME         prints the addresses of a name
package main
