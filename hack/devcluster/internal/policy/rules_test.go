// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"strings"
	"testing"

	"sigs.k8s.io/knftables"
)

// dump is what nft would be told, by the fake of knftables, which also checks that
// what is named exists.
func dump(t *testing.T, objects []knftables.Object) string {
	t.Helper()
	nft := knftables.NewFake(knftables.IPv4Family, "test")
	tx := nft.NewTransaction()
	tx.Add(&knftables.Table{})
	for _, declarations := range []bool{true, false} {
		for _, o := range objects {
			switch o.(type) {
			case *knftables.Map, *knftables.Chain:
				if declarations {
					tx.Add(o)
				}
			default:
				if !declarations {
					tx.Add(o)
				}
			}
		}
	}
	if err := nft.Run(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	return nft.Dump()
}

func TestRulesOfOneIsolatedPod(t *testing.T) {
	verdicts, err := testCluster(t, `{podSelector: {matchLabels: {app: lis}}, ingress: [{from: [{podSelector: {matchLabels: {app: engine}}}], ports: [{port: 3575}]}]}`).Verdicts()
	if err != nil {
		t.Fatal(err)
	}
	got := dump(t, Rules(verdicts, Switches{Enforce: true, NodeTraffic: false}))
	for _, want := range []string{
		"add chain ip test forward { type filter hook forward priority 0 ; }",
		"add chain ip test input { type filter hook input priority 0 ; }",
		"add chain ip test output { type filter hook output priority 0 ; }",
		"add rule ip test forward ct state established,related accept\nadd rule ip test forward ip saddr vmap @egress\nadd rule ip test forward ip daddr vmap @ingress\n",
		"add rule ip test input ip saddr vmap @egress\n",
		"add rule ip test output ip daddr vmap @ingress\n",
		"add rule ip test ingress-0 ip saddr 10.0.0.1 return\nadd rule ip test ingress-0 ip saddr { 10.0.0.2 } tcp dport 3575 return\nadd rule ip test ingress-0 drop\n",
		"add element ip test ingress { 10.0.0.1 : jump ingress-0 }",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("rules lack %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "egress-0") {
		t.Errorf("the pod is not isolated from egress:\n%s", got)
	}
}

func TestSwitches(t *testing.T) {
	verdicts, err := testCluster(t, `podSelector: {}`).Verdicts()
	if err != nil {
		t.Fatal(err)
	}
	if got := Rules(verdicts, Switches{NodeTraffic: true}); len(got) > 0 {
		t.Errorf("a network plugin that ignores policies has no rules: %v", got)
	}
	if got := dump(t, Rules(verdicts, Switches{Enforce: true, NodeTraffic: true})); strings.Contains(got, "hook output") {
		t.Errorf("the node may reach every pod, but is asked:\n%s", got)
	}
}

func TestSetsDoNotOverlap(t *testing.T) {
	got := set([]netip.Prefix{
		netip.MustParsePrefix("10.1.2.3/32"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.1/32"), netip.MustParsePrefix("10.1.0.0/16"),
	})
	if got != "{ 10.1.0.0/16, 10.2.0.1 }" {
		t.Errorf("got %s", got)
	}
}

func TestLongNamesOfPodsAreCutToWhatTheKernelTakes(t *testing.T) {
	if got := comment(Pod{Namespace: "lab", Name: strings.Repeat("n", 253)}); len(got) != 127 {
		t.Errorf("got %d bytes", len(got))
	}
}
