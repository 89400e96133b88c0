// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/internal/registry"
)

func defaults() *configuration {
	return &configuration{
		TrustDomain: "cluster.local", ClusterDomain: "cluster.local", GitOpsNamespaces: []string{"flux-system", "argocd"},
		DNS:       dns{Namespace: "kube-system", Service: "kube-dns"},
		Admission: admissionLimits{Wait: &metav1.Duration{Duration: 2 * time.Second}},
	}
}

func written(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "configuration.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheConfigurationFileIsRead(t *testing.T) {
	changed := func(change func(*configuration)) *configuration {
		config := defaults()
		change(config)
		return config
	}
	tests := map[string]struct {
		content string
		want    *configuration
	}{
		"empty":            {"", defaults()},
		"an empty object":  {"{}", defaults()},
		"a comment":        {"# nothing yet\n", defaults()},
		"a trust domain":   {"trustDomain: lab.example", changed(func(c *configuration) { c.TrustDomain = "lab.example" })},
		"no wait at all":   {"admission: {wait: 0s}", changed(func(c *configuration) { c.Admission.Wait.Duration = 0 })},
		"the longest wait": {"admission: {wait: 4s}", changed(func(c *configuration) { c.Admission.Wait.Duration = 4 * time.Second })},
		"no GitOps tool":   {"gitOpsNamespaces: []", changed(func(c *configuration) { c.GitOpsNamespaces = []string{} })},
		"issuers of both kinds": {
			"issuers: [{kind: ClusterIssuer, name: lab-ca}, {kind: Issuer, namespace: pathology, name: own}]",
			changed(func(c *configuration) {
				c.Issuers = []issuer{{Kind: "ClusterIssuer", Name: "lab-ca"}, {Kind: "Issuer", Namespace: "pathology", Name: "own"}}
			}),
		},
		"cert-manager under another account": {
			"certManagerUser: system:serviceaccount:pki:cm-cert-manager", changed(func(c *configuration) { c.CertManagerUser = "system:serviceaccount:pki:cm-cert-manager" }),
		},
		"another DNS Service in the same namespace": {"dns: {service: coredns}", changed(func(c *configuration) { c.DNS.Service = "coredns" })},
		"the DNS Service in another namespace":      {"dns: {namespace: openshift-dns}", changed(func(c *configuration) { c.DNS.Namespace = "openshift-dns" })},
		"a DNS cache on the nodes": {
			"dns: {nodeLocal: [169.254.20.10/32, 'fd00::a/128']}",
			changed(func(c *configuration) {
				c.DNS.NodeLocal = []netip.Prefix{netip.MustParsePrefix("169.254.20.10/32"), netip.MustParsePrefix("fd00::a/128")}
			}),
		},
		"registries": {
			"registries: [{host: docker.io, mirrors: [mirror.lab.example], allowedAddresses: [127.0.0.0/8]}]",
			changed(func(c *configuration) {
				c.Registries = []registry.RegistryConfig{{
					Host: "docker.io", Mirrors: []string{"mirror.lab.example"}, AllowedAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
				}}
			}),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := readConfiguration(written(t, test.content))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got, err := readConfiguration(""); err != nil || !cmp.Equal(defaults(), got) {
		t.Errorf("without a file: %+v, %v", got, err)
	}
}

func TestABadConfigurationFileSaysWhatWouldBeRight(t *testing.T) {
	tests := map[string]struct{ content, want string }{
		"a key that nobody knows":         {"trustDomian: lab.example", "trustDomian"},
		"a key that nobody knows, deep":   {"admission: {waits: 1s}", "waits"},
		"a key twice":                     {"trustDomain: a\ntrustDomain: b", "trustDomain"},
		"no YAML":                         {"{", "configuration.yaml"},
		"a list":                          {"- a", "configuration.yaml"},
		"a trust domain in capitals":      {"trustDomain: Lab.Example", "such as lab.example"},
		"a trust domain with a path":      {"trustDomain: lab/example", "such as lab.example"},
		"a trust domain of 300":           {"trustDomain: " + strings.Repeat("a", 300), "such as lab.example"},
		"a cluster domain that is none":   {"clusterDomain: cluster_local", "such as cluster.local"},
		"a wait below zero":               {"admission: {wait: -1s}", "write 0s to 4s"},
		"a wait that is too long":         {"admission: {wait: 4001ms}", "write 0s to 4s"},
		"a wait without unit":             {"admission: {wait: 2}", "configuration.yaml"},
		"an issuer of another kind":       {"issuers: [{kind: VaultIssuer, name: a}]", "issuers[0].kind"},
		"an issuer without name":          {"issuers: [{kind: ClusterIssuer, name: a}, {kind: ClusterIssuer}]", "issuers[1].name is empty"},
		"an Issuer without namespace":     {"issuers: [{kind: Issuer, name: a}]", "an Issuer has one"},
		"a ClusterIssuer with namespace":  {"issuers: [{kind: ClusterIssuer, namespace: a, name: a}]", "a ClusterIssuer has none"},
		"cert-manager as a person":        {"certManagerUser: jane", "certManagerUser"},
		"cert-manager as a group":         {"certManagerUser: 'system:serviceaccounts:pki'", "certManagerUser"},
		"cert-manager without a name":     {"certManagerUser: 'system:serviceaccount:pki:'", "certManagerUser"},
		"cert-manager as any account":     {"certManagerUser: 'system:serviceaccount:pki:*'", "certManagerUser"},
		"cert-manager with a quote":       {`certManagerUser: "system:serviceaccount:pki:a'b"`, "certManagerUser"},
		"an excluded name that is none":   {"excludedNamespaces: [Lab]", `"Lab" is no name of a namespace`},
		"an excluded name that is a glob": {"excludedNamespaces: ['*']", `"*" is no name of a namespace`},
		"a GitOps name with a quote":      {`gitOpsNamespaces: ["a'b"]`, "is no name of a namespace"},
		"a DNS Service with a dot":        {"dns: {service: kube.dns}", `"kube-system/kube.dns" is no name of a Service`},
		"a DNS cache without prefix":      {"dns: {nodeLocal: [169.254.20.10]}", "configuration.yaml"},
		"a DNS cache that is empty":       {"dns: {nodeLocal: ['']}", "dns.nodeLocal[0]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := readConfiguration(written(t, test.content)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %+v, %v; want an error with %q", got, err, test.want)
			}
		})
	}
	if _, err := readConfiguration(filepath.Join(t.TempDir(), "none.yaml")); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("no file: %v", err)
	}
}

func TestTheGateNeverStandsWhereAClusterStartsFromCold(t *testing.T) {
	config := defaults()
	config.ExcludedNamespaces, config.DNS.Namespace = []string{"registry", "kube-system"}, "openshift-dns"
	excluded := config.excluded("labguard-system")
	for _, name := range []string{"kube-system", "cert-manager", "labguard-system", "registry", "flux-system", "argocd", "openshift-dns"} {
		if !slices.Contains(excluded, name) {
			t.Errorf("%s is not excluded", name)
		}
	}
	if !slices.IsSorted(excluded) || len(slices.Compact(slices.Clone(excluded))) != len(excluded) || slices.Contains(excluded, "") {
		t.Errorf("excluded are %q", excluded)
	}
	if slices.Contains(excluded, metav1.NamespaceDefault) {
		t.Error("a namespace of tenants is excluded")
	}
	excluded[0] = "changed"
	if slices.Contains(builtInExclusions, "changed") {
		t.Error("the built-in list can be changed")
	}
}

func TestTheBlocksOfADNSCacheHaveNoHostBits(t *testing.T) {
	config := defaults()
	config.DNS.NodeLocal = []netip.Prefix{netip.MustParsePrefix("169.254.20.10/16"), netip.MustParsePrefix("fd00::a/128")}
	if diff := cmp.Diff([]string{"169.254.0.0/16", "fd00::a/128"}, blocks(config.DNS.NodeLocal)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is installed by default must be readable.
func TestTheShippedConfigurationIsRead(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "config", "manager", "configuration.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var shipped corev1.ConfigMap
	if err := yaml.UnmarshalStrict(content, &shipped); err != nil {
		t.Fatal(err)
	}
	config, err := readConfiguration(written(t, shipped.Data["configuration.yaml"]))
	if err != nil || len(config.Issuers) == 0 {
		t.Errorf("read %+v, %v", config, err)
	}
}
