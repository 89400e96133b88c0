// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labguard/labguard/internal/desired/access"
	"github.com/labguard/labguard/internal/desired/policy"
	"github.com/labguard/labguard/internal/testutil/golden"
)

func full() access.Config {
	return access.Config{
		Namespaces:  []string{"radiology", "pathology", "radiology"},
		Machines:    []string{"system:serviceaccount:gitops:argo", "it's-a-robot"},
		MethodsKeys: []string{"labguard.dev/amr", "idp.example/amr"},
		BreakGlass:  "site:emergency",
		Anchor:      policy.Anchor{Name: "labguard-webhook-anchor", UID: "6b1e4d2a-0000-4000-8000-000000000000"},
	}
}

func TestPoliciesAreAsInTheGoldens(t *testing.T) {
	for name, config := range map[string]access.Config{"full": full(), "defaults": {Namespaces: []string{"pathology"}}} {
		t.Run(name, func(t *testing.T) {
			policies := access.Policies(config)
			if len(policies) != 1 {
				t.Fatal(len(policies))
			}
			golden.YAML(t, name, policies[0].Policy, policies[0].Binding)
		})
	}
}

func TestTheFileForTheAPIServerIsTheSameButForNamesAndOwners(t *testing.T) {
	got, err := access.Static(full())
	if err != nil {
		t.Fatal(err)
	}
	without := full()
	without.Anchor = policy.Anchor{}
	policies := access.Policies(without)
	policies[0].Policy.WithName(access.Name + access.StaticSuffix)
	policies[0].Binding.WithName(access.Name + access.StaticSuffix)
	policies[0].Binding.Spec.WithPolicyName(access.Name + access.StaticSuffix)
	golden.YAML(t, "static", policies[0].Policy, policies[0].Binding)
	want, err := os.ReadFile(filepath.Join("testdata", "static.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
	for _, forbidden := range []string{"paramKind", "paramRef", "ownerReferences"} {
		if strings.Contains(got, forbidden) {
			t.Errorf("a file may not have %s", forbidden)
		}
	}
}

func TestOrderAndDoublesDoNotMatter(t *testing.T) {
	one, other := full(), full()
	one.Machines, other.Machines = []string{"a", "b"}, []string{"b", "a", "", "b"}
	one.MethodsKeys, other.MethodsKeys = []string{"x/y", "z/y"}, []string{"z/y", "x/y", "x/y"}
	one.Namespaces, other.Namespaces = []string{"a", "b"}, []string{"b", "a", "a"}
	if diff := cmp.Diff(access.Policies(one), access.Policies(other)); diff != "" {
		t.Error(diff)
	}
}

func TestNoNamespaceIsNoPolicyAndEveryThousandHaveOneOfTheirOwn(t *testing.T) {
	for names, want := range map[int][]string{
		0: nil, 1000: {"labguard-access"}, 1001: {"labguard-access", "labguard-access-2"},
	} {
		var config access.Config
		for i := range names {
			config.Namespaces = append(config.Namespaces, fmt.Sprint("n", i))
		}
		var got []string
		for _, pair := range access.Policies(config) {
			got = append(got, *pair.Policy.Name)
			if *pair.Binding.Spec.PolicyName != *pair.Policy.Name {
				t.Errorf("the binding of %s is to %s", *pair.Policy.Name, *pair.Binding.Spec.PolicyName)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d names: %s", names, diff)
		}
	}
}
