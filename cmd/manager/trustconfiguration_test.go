// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/pki"
)

const image = "registry.lab.example/labguard/airlock@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// indented is PEM text as the value of a key.
func indented(text string) string {
	return "|\n      " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n      ") + "\n"
}

func TestTrustIsRead(t *testing.T) {
	now := time.Now()
	old, own, partner, vendor := pki.NewAuthorityAt(t, "old", now), pki.NewAuthorityAt(t, "own", now), pki.NewAuthorityAt(t, "partner", now), pki.NewAuthorityAt(t, "vendor", now)
	config, err := readConfiguration(written(t, `
trustDomain: lab.example
trustDomains:
  - name: lab.example
    remove: [`+old.Fingerprint()+`]
    roots: `+indented(own.Text())+`
  - name: partner.example
    roots: `+indented(partner.Text())+`
externalAuthorities:
  - name: analyzers
    identities: ["spiffe://vendor.example/analyzer/*"]
    dnsNames: [cobas-1.lab.example]
    sha256: [`+vendor.Fingerprint()+`]
    roots: `+indented(vendor.Text())+`
airlock: {image: "`+image+`"}
nodeAddresses: [10.0.0.7/24, 'fd00::/64']
`))
	if err != nil {
		t.Fatal(err)
	}
	type source struct {
		kind           posture.TrustKind
		name           string
		roots, removes string
	}
	var got []source
	for _, one := range config.trustSources() {
		got = append(got, source{one.Kind, one.Name, one.Roots[0].Fingerprint, strings.Join(one.Remove, " ")})
	}
	want := []source{
		{posture.OwnTrust, "lab.example", own.Fingerprint(), old.Fingerprint()},
		{posture.FederatedTrust, "partner.example", partner.Fingerprint(), ""},
		{posture.ExternalTrust, "analyzers", vendor.Fingerprint(), ""},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(source{})); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	if len(config.ownRoots()) != 1 || config.ownRoots()[0].Fingerprint != own.Fingerprint() {
		t.Errorf("own roots %v", config.ownRoots())
	}
	if diff := cmp.Diff([]string{"10.0.0.0/24", "fd00::/64"}, blocks(config.NodeAddresses)); diff != "" {
		t.Errorf("node addresses (-want +got):\n%s", diff)
	}
	if defaults().ownRoots() != nil {
		t.Error("roots from nowhere")
	}
}

func TestBadTrustSaysWhatWouldBeRight(t *testing.T) {
	now := time.Now()
	one, two := pki.NewAuthorityAt(t, "one", now), pki.NewAuthorityAt(t, "two", now)
	leaf := one.Issue(pki.Leaf{URIs: []string{"spiffe://lab.example/a"}, NotBefore: now})
	domain := func(more string) string {
		return "trustDomain: lab.example\ntrustDomains:\n  - name: lab.example\n    roots: " + indented(one.Text()) + more
	}
	vendor := func(more string) string {
		return domain("externalAuthorities:\n  - name: vendor\n    roots: " + indented(two.Text()) + more)
	}
	tests := map[string]struct{ content, want string }{
		"a trust domain without roots":     {"trustDomains: [{name: lab.example}]", "trustDomains[0].roots is empty"},
		"a trust domain without name":      {"trustDomains: [{roots: x}]", "trustDomains[0].name"},
		"a name that is none in a cluster": {"trustDomains: [{name: lab_example, roots: x}]", "can be a part of a name in Kubernetes"},
		"a name that is too long":          {"trustDomains: [{name: " + strings.Repeat("a.", 119) + "aa, roots: x}]", "at most 238 characters"},
		"roots that are none":              {"trustDomains: [{name: a, roots: '-----BEGIN CERTIFICATE-----'}]", "0 of 1 PEM blocks"},
		"a key":                            {"trustDomains:\n  - name: a\n    roots: " + indented(string(leaf.Key)), `"PRIVATE KEY" and no CERTIFICATE`},
		"a leaf":                           {"trustDomains:\n  - name: a\n    roots: " + indented(string(leaf.Chain)), "no certificate of an authority"},
		"a root twice":                     {"trustDomains:\n  - name: a\n    roots: " + indented(one.Text()+one.Text()), "twice"},
		"a key that nobody knows":          {"trustDomains: [{name: a, root: x}]", "root"},
		"a name twice":                     {domain("  - name: lab.example\n    roots: " + indented(two.Text())), "trustDomains[1].name: \"lab.example\" is there twice"},
		"a root of two domains":            {domain("  - name: b\n    roots: " + indented(one.Text())), "is a root of lab.example too"},
		"removed and there":                {domain("    remove: [" + one.Fingerprint() + "]\n"), "is in roots as well"},
		"a fingerprint with colons":        {domain("    remove: ['AB:CD']\n"), "64 lower-case hexadecimal digits"},
		"an authority without name":        {"externalAuthorities: [{roots: x}]", "externalAuthorities[0].name"},
		"an authority without roots":       {"externalAuthorities: [{name: vendor}]", "externalAuthorities[0].roots is empty"},
		"an authority with our root":       {domain("externalAuthorities:\n  - name: vendor\n    roots: " + indented(one.Text())), "needs one of its own"},
		"an authority twice":               {vendor("  - name: vendor\n    roots: " + indented(two.Text())), "is there twice"},
		"an identity of ours":              {vendor("    identities: ['spiffe://lab.example/ns/a/labworkload/*']\n"), "own trust domain"},
		"an identity that is a glob":       {vendor("    identities: ['spiffe://vendor.example/*']\n"), "no path segment that is spelled out"},
		"an identity of a partner": {
			"trustDomains:\n  - name: partner.example\n    roots: " + indented(one.Text()) +
				"externalAuthorities:\n  - name: vendor\n    identities: ['spiffe://partner.example/a']\n    roots: " + indented(two.Text()),
			"whose roots alone prove its identities",
		},
		"a DNS name with a wildcard":  {vendor("    dnsNames: ['*.vendor.example']\n"), "without a wildcard"},
		"a fingerprint that is short": {vendor("    sha256: [abc]\n"), "64 lower-case hexadecimal digits"},
		"an image by its tag":         {domain("airlock: {image: 'registry.lab.example/airlock:1'}"), "by its digest"},
		"airlock without roots":       {"airlock: {image: '" + image + "'}", "airlock would trust nobody"},
		"every address is a node":     {"nodeAddresses: [0.0.0.0/0]", "nodeAddresses[0]"},
		"a node without prefix":       {"nodeAddresses: [10.0.0.1]", "configuration.yaml"},
		"too many authorities":        {"externalAuthorities: [" + strings.Repeat("{name: a},", 17) + "]", "at most 16 and 16"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := readConfiguration(written(t, test.content)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v; want an error with %q", err, test.want)
			}
		})
	}
}

func TestARootMayHaveNoRootsWhileOthersAreRemoved(t *testing.T) {
	fingerprint := strings.Repeat("ab", 32)
	config, err := readConfiguration(written(t, "externalAuthorities: [{name: vendor, remove: ["+fingerprint+"]}]"))
	if err != nil || len(config.trustSources()) != 1 {
		t.Errorf("got %v", err)
	}
}

func TestTheDocumentationHasEveryKeyOfTheConfigurationFile(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	var look func(prefix string, kind reflect.Type)
	look = func(prefix string, kind reflect.Type) {
		for field := range kind.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch {
			case field.Anonymous:
				look(prefix, field.Type)
				continue
			case name == "":
				continue
			}
			inner, inList := field.Type, ""
			if inner.Kind() == reflect.Slice {
				inner, inList = inner.Elem(), "[]"
			}
			described := prefix + name
			if inner.Kind() == reflect.Struct && inner.PkgPath() == reflect.TypeFor[configuration]().PkgPath() {
				if inList != "" && !strings.Contains(string(page), "`"+described+"`") {
					t.Errorf("docs/configuration.md does not speak of `%s`", described)
				}
				look(described+inList+".", inner)
				continue
			}
			if !strings.Contains(string(page), "`"+described+"`") {
				t.Errorf("docs/configuration.md does not speak of `%s`", described)
			}
		}
	}
	look("", reflect.TypeFor[configuration]())
}
