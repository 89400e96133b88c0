// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"os"
	"strings"
	"testing"

	"k8s.io/client-go/dynamic"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m, cluster.WithCRDs("testdata/rollouts.yaml"))) }

// lab is one namespace with a tenant who may edit it.
type lab struct{ tenancy.Space }

func newLab(t *testing.T) lab {
	t.Helper()
	t.Parallel()
	return lab{tenancy.New(t)}
}

// in is the same lab in a subtest.
func (l lab) in(t *testing.T) lab {
	t.Helper()
	l.T = t
	return l
}

func (l lab) dynamic(user string) dynamic.Interface {
	l.Helper()
	client, err := dynamic.NewForConfig(tenancy.Access(user))
	l.Must(err)
	return client
}

// kubectl runs kubectl as the tenant in the namespace.
func (l lab) kubectl(args ...string) error {
	l.Helper()
	_, err := cluster.Kubectl(l, append([]string{"--as", l.Tenant, "-n", l.Namespace}, args...)...)
	return err
}

// asked fails the test unless the API server tried to ask labguard, which is dead.
func (l lab) asked(err error) {
	l.Helper()
	if err == nil {
		l.Error("passed without being asked about")
		return
	}
	if !strings.Contains(err.Error(), "failed calling webhook") || !strings.Contains(err.Error(), ".rollouts.labguard.dev") {
		l.Errorf("refused, but not because labguard was asked: %v", err)
	}
}
