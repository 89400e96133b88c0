// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package admin answers the kubelet (one word in plain HTTP) and labguard (the report and the metrics, over mutual TLS and for one identity alone). Neither can
// change anything, and neither sees a key or anything of what is carried.
package admin
