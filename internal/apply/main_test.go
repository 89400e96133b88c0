// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"os"
	"testing"

	"github.com/labguard/labguard/internal/testutil/cluster"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }
