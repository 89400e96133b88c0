// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/labguard/labguard/internal/testutil/netns"
	"github.com/labguard/labguard/internal/testutil/provider"
)

// TestProviderListensInAnotherNetwork is how a provider is reached by an API server that is in the network of a node.
func TestProviderListensInAnotherNetwork(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	other := netns.Connect(t, []string{"10.9.0.10/24"}, []string{"10.9.0.20/24"})
	p := provider.New(t, provider.WithNetwork(func(call func() error) error {
		var err error
		other.Do(func() { err = call() })
		return err
	}))
	if token := p.Login(t, "alice", "pwd", "otp"); claimsOf(t, token)["iss"] != p.Issuer() {
		t.Errorf("a token of %v", claimsOf(t, token)["iss"])
	}
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(p.Issuer(), "https://"), time.Second)
	if err == nil {
		_ = conn.Close()
		t.Error("the provider is in this network, too")
	}
}
