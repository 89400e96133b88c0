// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package delivery

import (
	"os"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/labguard/labguard/internal/testutil/node"
)

// TestMain starts a cluster without labguard's definitions: Helm brings them, and takes over nothing that it has not made.
func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	os.Exit(node.Main(m))
}
