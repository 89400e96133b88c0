// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/image"
	"github.com/labguard/labguard/internal/testutil/netns"
)

// Main runs the tests of m against a cluster with a node and returns the exit code.
// Where there can be no node it says why, and runs none.
func Main(m *testing.M, opts ...cluster.Option) int {
	if err := netns.Permitted(); err != nil {
		fmt.Fprintf(os.Stderr, "skipped all tests, which need a node: %v\n", err)
		return 0
	}
	return cluster.Main(m, append(opts, cluster.WithNode())...)
}

// Push makes an image of p and returns a reference that the node can pull and that
// programs in pods can look up.
func Push(tb testing.TB, p image.Program) string {
	tb.Helper()
	return cluster.Node().Registry + "/" + image.Push(tb, cluster.RegistryHost(), p)
}

// Switches say how the enforcer of NetworkPolicies behaves. A node begins with
// both.
type Switches struct {
	// Enforce is false for a network plugin that ignores policies.
	Enforce bool `json:"enforce"`
	// NodeTraffic is whether the node itself reaches pods whatever policies say.
	// Without it policies judge the address of the node as any other.
	NodeTraffic bool `json:"nodeTraffic"`
}

// Switch changes the enforcer for the rest of the test, and returns when the rules
// follow. What flows already is not interrupted: rules judge new connections.
func Switch(tb testing.TB, s Switches) {
	tb.Helper()
	before, err := switches(tb.Context(), http.MethodGet, nil)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := switches(tb.Context(), http.MethodPut, &s); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if _, err := switches(context.WithoutCancel(tb.Context()), http.MethodPut, &before); err != nil {
			tb.Error(err)
		}
	})
}

func switches(ctx context.Context, method string, s *Switches) (Switches, error) {
	const timeout = 30 * time.Second
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var now Switches
	body, err := json.Marshal(s)
	if err != nil {
		return now, fmt.Errorf("switch the enforcer: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, method, cluster.Node().Switches, bytes.NewReader(body))
	if err != nil {
		return now, fmt.Errorf("switch the enforcer: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return now, fmt.Errorf("switch the enforcer: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	const enough = 4096
	answer, err := io.ReadAll(io.LimitReader(response.Body, enough))
	if err != nil || response.StatusCode != http.StatusOK {
		return now, fmt.Errorf("switch the enforcer: %s: %s, %w", response.Status, answer, err)
	}
	if err := json.Unmarshal(answer, &now); err != nil {
		return now, fmt.Errorf("switch the enforcer: %w", err)
	}
	return now, nil
}
