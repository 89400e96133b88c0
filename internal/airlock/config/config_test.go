// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/labguard/labguard/internal/airlock/config"
)

const good = `{
  "version": 1, "trustDomain": "lab.example", "identity": "spiffe://lab.example/ns/pathology/labworkload/lis",
  "operator": "spiffe://lab.example/labguard/operator", "maxConnections": 1024, "clientPath": "HostAliases", "somethingNew": {"a": 1},
  "ports": [{"name": "mllp", "port": 2575, "listenPort": 15100, "stage": "Strict", "minTLSVersion": "1.3", "plaintextPeers": ["10.1.0.0/16"], "peers": [
    {"id": "spiffe://lab.example/ns/pathology/labworkload/engine", "cidrs": ["10.0.0.0/8", "fd00::/8"]},
    {"pattern": "spiffe://vendor.example/analyzer/*"},
    {"pattern": "spiffe://vendor.example/*/x", "authority": "hospital"},
    {"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "authority": "hospital"},
    {"dnsName": "analyser7.hospital.example", "authority": "hospital"}]}],
  "upstreams": [{"name": "pathology/archive/dicom", "listen": "127.0.64.1:104", "secure": "10.96.0.7:104", "plain": "10.96.0.6:104",
    "id": "spiffe://lab.example/ns/pathology/labworkload/archive", "minTLSVersion": "1.2", "fallback": true}],
  "revokedBefore": {"spiffe://lab.example/ns/pathology/labworkload/engine": "2026-11-01T00:00:00Z"}, "probePorts": [8080]
}`

func TestParse(t *testing.T) {
	parsed, err := config.Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed.Ports) != 1 || len(parsed.Ports[0].Peers) != 5 || len(parsed.Upstreams) != 1 || parsed.MaxConnections != 1024 {
		t.Errorf("%+v", parsed)
	}
}

func TestParseRefuses(t *testing.T) {
	many := func(n int, one string) string { return "[" + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + "]" }
	for name, test := range map[string]struct{ old, replacement, want string }{
		"another version":                 {`"version": 1`, `"version": 2`, "version: 2 is not known"},
		"no JSON":                         {`{`, `[`, "decode configuration"},
		"more than one document":          {`"probePorts": [8080]` + "\n}", `"probePorts": [8080]} {}`, "behind the document"},
		"another type":                    {`"maxConnections": 1024`, `"maxConnections": "many"`, "maxConnections: a value of another type"},
		"no trust domain":                 {`"trustDomain": "lab.example"`, `"trustDomain": "Lab"`, "trustDomain: "},
		"an identity of another domain":   {`"identity": "spiffe://lab.`, `"identity": "spiffe://lap.`, "identity: is of another trust domain"},
		"an identity that is no workload": {`"identity": "spiffe://lab.example/ns/`, `"identity": "spiffe://lab.example/nx/`, "identity: is not under /ns/"},
		"an operator as a workload":       {`lab.example/labguard/operator`, `lab.example/ns/operator`, "operator: is not under /labguard/"},
		"the operator as a peer":          {`"id": "spiffe://lab.example/ns/pathology/labworkload/engine"`, `"id": "spiffe://lab.example/labguard/operator"`, "ports[0].peers[0].id: is of the trust domain of the cluster and not under /ns/"},
		"a prober as a peer":              {`"id": "spiffe://lab.example/ns/pathology/labworkload/engine"`, `"id": "spiffe://lab.example/labguard/prober"`, "ports[0].peers[0].id"},
		"a pattern in our domain":         {`"pattern": "spiffe://vendor.example/analyzer/*"`, `"pattern": "spiffe://lab.example/ns/*/labworkload/lis"`, "ports[0].peers[1].pattern: is of the trust domain"},
		"a pattern of wildcards":          {`spiffe://vendor.example/analyzer/*"`, `spiffe://vendor.example/*/*"`, "ports[0].peers[1].pattern: has no path segment"},
		"a wildcard in a segment":         {`spiffe://vendor.example/analyzer/*"`, `spiffe://vendor.example/analyzer/a*"`, "ports[0].peers[1].pattern"},
		"a wildcard as trust domain":      {`spiffe://vendor.example/analyzer/*"`, `spiffe://*/analyzer/x"`, "ports[0].peers[1].pattern"},
		"a wildcard in an ID":             {`labworkload/engine", "cidrs"`, `labworkload/*", "cidrs"`, "ports[0].peers[0].id"},
		"dots in an ID":                   {`labworkload/engine", "cidrs"`, `labworkload/../lis", "cidrs"`, "ports[0].peers[0].id"},
		"an empty segment":                {`labworkload/engine", "cidrs"`, `labworkload//lis", "cidrs"`, "ports[0].peers[0].id"},
		"a peer that is two":              {`{"dnsName": "analyser7.hospital.example",`, `{"dnsName": "analyser7.hospital.example", "id": "spiffe://a.example/b",`, "ports[0].peers[4].id: 2 of"},
		"a peer that is none":             {`{"dnsName": "analyser7.hospital.example",`, `{`, "ports[0].peers[4].id: 0 of"},
		"a name without an authority":     {`{"dnsName": "analyser7.hospital.example", "authority": "hospital"}`, `{"dnsName": "analyser7.hospital.example"}`, "ports[0].peers[4].authority: is required"},
		"an ID under an authority":        {`labworkload/engine", "cidrs"`, `labworkload/engine", "authority": "hospital", "cidrs"`, "ports[0].peers[0].authority"},
		"an authority as a path":          {`"authority": "hospital"}]`, `"authority": "../trust/x"}]`, "ports[0].peers[4].authority"},
		"a fingerprint in capitals":       {`"sha256": "e3b0`, `"sha256": "E3B0`, "ports[0].peers[3].sha256"},
		"a short fingerprint":             {`"sha256": "e3b0`, `"sha256": "e3b`, "ports[0].peers[3].sha256"},
		"a DNS name with a wildcard":      {`"dnsName": "analyser7.`, `"dnsName": "*.`, "ports[0].peers[4].dnsName"},
		"no block":                        {`"fd00::/8"`, `"fd00::"`, "ports[0].peers[0].cidrs[1]"},
		"no block of plaintext":           {`"10.1.0.0/16"`, `"10.1.0.0"`, "ports[0].plaintextPeers[0]"},
		"no port":                         {`"port": 2575`, `"port": 0`, "ports[0].port"},
		"a port that is too high":         {`"listenPort": 15100`, `"listenPort": 70000`, "ports[0].listenPort"},
		"a port of airlock's own":         {`"listenPort": 15100`, `"listenPort": 15091`, "ports[0].listenPort: 15091 is taken by airlock's admin port"},
		"one port for both":               {`"listenPort": 15100`, `"listenPort": 2575`, "ports[0].listenPort: 2575 is taken by ports[0].port"},
		"no stage":                        {`"stage": "Strict"`, `"stage": "Observe"`, "ports[0].stage"},
		"no version of TLS":               {`"minTLSVersion": "1.3"`, `"minTLSVersion": "1.1"`, "ports[0].minTLSVersion"},
		"no name":                         {`"name": "mllp"`, `"name": ""`, "ports[0].name"},
		"a name with a line break":        {`"name": "mllp"`, `"name": "ml\nlp"`, "ports[0].name"},
		"a listener outside":              {`127.0.64.1:104`, `10.0.0.1:104`, "upstreams[0].listen: is no loopback address"},
		"a listener without port":         {`127.0.64.1:104`, `127.0.64.1`, "upstreams[0].listen"},
		"an upstream by name":             {`10.96.0.7:104`, `archive-mtls:104`, "upstreams[0].secure"},
		"an upstream on all addresses":    {`10.96.0.6:104`, `0.0.0.0:104`, "upstreams[0].plain"},
		"the operator as an upstream":     {`labworkload/archive"`, `labworkload/archive", "id": "spiffe://lab.example/labguard/operator"`, "upstreams[0].id"},
		"no client path":                  {`"HostAliases"`, `"Magic"`, "clientPath"},
		"no connections":                  {`"maxConnections": 1024`, `"maxConnections": 0`, "maxConnections"},
		"too many connections":            {`"maxConnections": 1024`, `"maxConnections": 100000`, "maxConnections"},
		"a negative age":                  {`"maxConnections": 1024`, `"maxConnections": 1, "maxConnectionAgeSeconds": -1`, "maxConnectionAgeSeconds"},
		"a revocation of nobody":          {`"revokedBefore": {"spiffe://`, `"revokedBefore": {"x://`, "revokedBefore"},
		"a probe port that is none":       {`[8080]`, `[0]`, "probePorts[0]"},
		"too many probe ports":            {`[8080]`, many(config.MaxProbePorts+1, "1"), "probePorts: has 129 entries"},
		"too many blocks":                 {`["10.1.0.0/16"]`, many(config.MaxBlocks+1, `"10.1.0.0/16"`), "ports[0].plaintextPeers: has 257 entries"},
		"a document that is too long":     {`"somethingNew"`, `"somethingNew` + strings.Repeat("x", config.MaxBytes) + `"`, "more than 1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, test.old) {
				t.Fatalf("the document has no %s", test.old)
			}
			_, err := config.Parse([]byte(strings.Replace(good, test.old, test.replacement, 1)))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if err != nil && len(err.Error()) > 512 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestDuplicates(t *testing.T) {
	port := config.Port{Name: "a", Port: 1000, ListenPort: 15100, Stage: config.Strict, MinTLSVersion: config.TLS13}
	upstream := config.Upstream{
		Name: "a/b/c", Listen: "127.0.64.1:80", ID: "spiffe://lab.example/ns/a/labworkload/b", MinTLSVersion: config.TLS13, Destinations: []string{"10.96.0.1:80"},
	}
	base := config.Configuration{
		Version: 1, TrustDomain: "lab.example", Identity: "spiffe://lab.example/ns/a/labworkload/a", Operator: "spiffe://lab.example/labguard/operator", MaxConnections: 16,
	}
	ports := func(change func(*config.Port)) func(*config.Configuration) {
		return func(c *config.Configuration) {
			other := config.Port{Name: "b", Port: 1001, ListenPort: 15101, Stage: config.Strict, MinTLSVersion: config.TLS13}
			change(&other)
			c.Ports = []config.Port{port, other}
		}
	}
	upstreams := func(path config.ClientPath, change func(*config.Upstream)) func(*config.Configuration) {
		return func(c *config.Configuration) {
			other := upstream
			other.Name, other.Listen, other.Destinations, c.ClientPath = "d/e/f", "127.0.64.2:80", []string{"10.96.0.2:80"}, path
			change(&other)
			c.Upstreams = []config.Upstream{upstream, other}
		}
	}
	for name, test := range map[string]struct {
		change func(*config.Configuration)
		want   string
	}{
		"two ports":            {change: ports(func(*config.Port) {})},
		"a name twice":         {change: ports(func(p *config.Port) { p.Name = "a" }), want: "ports[1].name"},
		"a port twice":         {change: ports(func(p *config.Port) { p.Port = 1000 }), want: "ports[1].port"},
		"a listener twice":     {change: ports(func(p *config.Port) { p.ListenPort = 15100 }), want: "ports[1].listenPort"},
		"a listener as a port": {change: ports(func(p *config.Port) { p.ListenPort = 1000 }), want: "ports[1].listenPort"},
		"two upstreams":        {change: upstreams(config.HostAliases, func(*config.Upstream) {})},
		"two upstreams, of which one has no address":  {change: upstreams("", func(u *config.Upstream) { u.Listen = "" })},
		"an upstream twice":                           {change: upstreams(config.HostAliases, func(u *config.Upstream) { u.Name = "a/b/c" }), want: "upstreams[1].name"},
		"an address twice":                            {change: upstreams(config.HostAliases, func(u *config.Upstream) { u.Listen = "[::ffff:127.0.64.1]:80" }), want: "upstreams[1].listen"},
		"a destination twice":                         {change: upstreams(config.Redirect, func(u *config.Upstream) { u.Destinations = []string{"10.96.0.1:80"} }), want: "upstreams[1].destinations[0]"},
		"a destination twice, which nobody redirects": {change: upstreams(config.HostAliases, func(u *config.Upstream) { u.Destinations = []string{"10.96.0.1:80"} })},
	} {
		t.Run(name, func(t *testing.T) {
			changed := base
			test.change(&changed)
			err := changed.Check()
			if (err == nil) != (test.want == "") || (err != nil && !strings.HasPrefix(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestPatterns(t *testing.T) {
	for _, test := range []struct {
		pattern, id string
		want        bool
	}{
		{"spiffe://v.example/a/*", "spiffe://v.example/a/1", true},
		{"spiffe://v.example/a/*", "spiffe://v.example/a/1/2", false},
		{"spiffe://v.example/a/*", "spiffe://v.example/a", false},
		{"spiffe://v.example/a/*", "spiffe://w.example/a/1", false},
		{"spiffe://v.example/*/a", "spiffe://v.example/b/a", true},
		{"spiffe://v.example/*/a", "spiffe://v.example/a/b", false},
		{"spiffe://v.example/a", "spiffe://v.example/a", true},
		{"spiffe://v.example/a", "spiffe://v.example/A", false},
	} {
		t.Run(fmt.Sprint(test.pattern, " ", test.id), func(t *testing.T) {
			pattern, err := config.ParsePattern(test.pattern)
			if err != nil {
				t.Fatal(err)
			}
			id, err := config.ParseID(test.id)
			if err != nil {
				t.Fatal(err)
			}
			if pattern.Matches(id) != test.want {
				t.Errorf("%v", !test.want)
			}
		})
	}
	if (config.ID{}).Matches(config.ID{}) {
		t.Error("nothing matches nothing")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		parsed, err := config.Parse(document)
		if err != nil {
			return
		}
		again, err := json.Marshal(parsed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := config.Parse(again); err != nil && len(again) <= config.MaxBytes {
			t.Errorf("what was good is not when it is written again: %v", err)
		}
		for _, port := range parsed.Ports {
			for _, peer := range port.Peers {
				if id, err := config.ParseID(peer.ID); err == nil && id.Domain == parsed.TrustDomain && !id.Under("ns") {
					t.Errorf("%s may connect", peer.ID)
				}
				if pattern, err := config.ParsePattern(peer.Pattern); err == nil && pattern.Domain == parsed.TrustDomain {
					t.Errorf("%s may connect", peer.Pattern)
				}
			}
		}
	})
}
