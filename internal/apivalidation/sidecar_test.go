// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// sidecar is a spec with provider Sidecar and more fields of encryption.inTransit.
func sidecar(fields string) string {
	return "encryption: {inTransit: {provider: Sidecar, issuerRef: {name: lab-ca}, " + fields + "}}"
}

// sidecarRules are those of provider Sidecar.
func sidecarRules() []rule {
	const field = "encryption.inTransit"
	const ports = field + ".ports"
	const belongs = "maxConnections and maxConnectionAge belong to provider: Sidecar"
	withPort := func(fields string) string { return sidecar("ports: [{name: mllp, port: 2575, " + fields + "}]") }
	of := func(peer string) string { return withPort("allowFrom: [" + peer + "]") }
	const until = "plaintext: {reason: 'has no TLS', expires: '2027-01-15T00:00:00Z'}"
	return []rule{
		{
			name: "what belongs to a provider is not given to the other",
			accepted: []string{
				sidecar("stage: Strict, observeFor: 24h, clientPath: Redirect, maxConnections: 16, maxConnectionAge: 1m"),
				sidecar("stage: Observe, acknowledged: {unattributedConnections: 0, reason: 'health checks'}"),
				sidecar("upstreams: [{labWorkload: {name: lis, namespace: pathology}, port: mllp, localPort: 12575}]"),
			},
			refused: []refusal{
				{spec: transit("stage: Strict"), field: field, says: belongs},
				{spec: transit("observeFor: 24h"), field: field, says: belongs},
				{spec: transit("clientPath: Redirect"), field: field, says: belongs},
				{spec: transit("maxConnections: 16"), field: field, says: belongs},
				{spec: transit("upstreams: [{labWorkload: {name: lis}}]"), field: field, says: belongs},
				{spec: sidecar("certificate: {secretName: lis-tls}"), field: field, says: "the Secret of the sidecar is labguard's own; remove it"},
			},
		},
		{
			name: "stages and paths are those that there are", accepted: []string{sidecar("stage: Permissive, clientPath: HostAliases")},
			refused: []refusal{
				{spec: sidecar("stage: Lax"), field: field + ".stage", says: `supported values: "Observe", "Permissive", "Strict"`},
				{spec: sidecar("clientPath: CNI"), field: field + ".clientPath", says: `supported values: "HostAliases", "Redirect"`},
			},
		},
		{
			name: "times are long enough", accepted: []string{sidecar("observeFor: 1440m, maxConnectionAge: 60s")},
			refused: []refusal{
				{spec: sidecar("observeFor: 23h59m"), field: field + ".observeFor", says: "encryption.inTransit.observeFor must be at least 24h"},
				{spec: sidecar("observeFor: 7d"), field: field + ".observeFor", says: "write hours, minutes and seconds"},
				{spec: sidecar("maxConnectionAge: 59s"), field: field + ".maxConnectionAge", says: "encryption.inTransit.maxConnectionAge must be at least 1m"},
			},
		},
		{
			name: "connections have bounds", accepted: []string{sidecar("maxConnections: 16384")},
			refused: []refusal{
				{spec: sidecar("maxConnections: 15"), field: field + ".maxConnections", says: "greater than or equal to 16"},
				{spec: sidecar("maxConnections: 16385"), field: field + ".maxConnections", says: "less than or equal to 16384"},
			},
		},
		{
			name: "what a person accepts has a number and a reason", accepted: []string{sidecar("acknowledged: {unattributedConnections: 12, reason: 'health checks'}")},
			refused: []refusal{
				{spec: sidecar("acknowledged: {reason: 'health checks'}"), field: field + ".acknowledged.unattributedConnections", says: "Required value"},
				{spec: sidecar("acknowledged: {unattributedConnections: -1, reason: 'health checks'}"), field: field + ".acknowledged.unattributedConnections", says: "greater than or equal to 0"},
				{spec: sidecar("acknowledged: {unattributedConnections: 1, reason: why}"), field: field + ".acknowledged.reason", says: "at least 8 chars long"},
			},
		},
		{
			name: "the sidecar's own ports are not the application's", accepted: []string{transit("ports: [{name: a, port: 15090}]"), sidecar("ports: [{name: a, port: 15100}]")},
			refused: []refusal{
				{spec: sidecar("ports: [{name: a, port: 15090}]"), field: field, says: "15001, 15090 and 15091 are ports of the sidecar itself: let the application listen elsewhere"},
				{spec: sidecar("ports: [{name: a, port: 15001}]"), field: field, says: "are ports of the sidecar itself"},
				{spec: withPort("minTLSVersion: '1.1'"), field: ports + "[0].minTLSVersion", says: `supported values: "1.2", "1.3"`},
			},
		},
		{
			name: "plaintext is for peers without an identity, for a reason and until an end",
			accepted: []string{
				of("{pods: {podSelector: {}}, " + until + "}"), of("{external: {cidrs: [10.20.0.0/16]}, " + until + "}"),
			},
			refused: []refusal{
				{spec: of("{labWorkload: {name: engine}, " + until + "}"), field: ports + "[0].allowFrom[0]", says: "plaintext is for pods and external: a LabWorkload speaks mutual TLS"},
				{spec: of("{pods: {podSelector: {}}, plaintext: {reason: 'has no TLS'}}"), field: ports + "[0].allowFrom[0].plaintext.expires", says: "Required value"},
				{spec: of("{pods: {podSelector: {}}, plaintext: {reason: old, expires: '2027-01-15T00:00:00Z'}}"), field: ports + "[0].allowFrom[0].plaintext.reason", says: "at least 8 chars long"},
			},
		},
		externalRule(of, ports+"[0].allowFrom[0].external"),
	}
}

// externalRule is what the certificates of external peers may be.
func externalRule(of func(string) string, field string) rule {
	external := func(fields string) string { return of("{external: {cidrs: [10.20.0.0/16], " + fields + "}}") }
	sum := strings.Repeat("0a", 32)
	return rule{
		name: "external peers are named well",
		accepted: []string{
			external("identities: ['spiffe://vendor.example/analyzer/*', 'spiffe://vendor.example/*/x']"),
			external("authority: vendor, certificates: [{sha256: '" + sum + "'}, {dnsName: an-1.vendor.example}]"),
		},
		refused: []refusal{
			{spec: of("{external: {cidrs: [0.0.0.0/0]}}"), field: field, says: "an address block of length 0 is everything: write the blocks of the peers"},
			{spec: external("identities: ['spiffe://vendor.example/*']"), field: field + ".identities[0]", says: "should match"},
			{spec: external("identities: ['spiffe://vendor.example/an*']"), field: field + ".identities[0]", says: "should match"},
			{spec: external("identities: ['spiffe://*/analyzer']"), field: field + ".identities[0]", says: "should match"},
			{spec: external("identities: ['https://vendor.example/x']"), field: field + ".identities[0]", says: "should match"},
			{spec: external("certificates: [{sha256: '" + sum + "'}]"), field: field, says: "certificates need authority"},
			{spec: external("authority: vendor, certificates: [{sha256: '" + sum + "', dnsName: a.example}]"), field: field + ".certificates[0]", says: "each entry has exactly one of sha256, dnsName"},
			{spec: external("authority: vendor, certificates: [{}]"), field: field + ".certificates[0]", says: "exactly one of sha256, dnsName"},
			{spec: external("authority: vendor, certificates: [{sha256: '" + strings.ToUpper(sum) + "'}]"), field: field + ".certificates[0].sha256", says: "should match"},
			{spec: external("authority: vendor, certificates: [{dnsName: '*.vendor.example'}]"), field: field + ".certificates[0].dnsName", says: "should match"},
		},
	}
}

// labguard alone writes profiles; the schema is there so that a mistake of its own shows.
func TestAnAirlockProfileIsWhatAPodCanHave(t *testing.T) {
	c := client(t, "airlockprofiles")
	const whole = `{workload: lis, labWorkload: lis, stage: Permissive, selector: {matchLabels: {app: lis}},
current: {hash: abc, image: r.example/airlock, memory: 1048576, secret: labguard-lis-identity, configMap: labguard-lis, hostAliases: [{ip: 127.0.64.1, hostnames: [lis]}]},
ports: [{port: 2575, sidecarPort: 15100}], upstreams: [{name: pathology/lis, ip: 127.0.64.1, labWorkload: lis}]}`
	spec := func(change string) map[string]any {
		fields := map[string]any{}
		for _, text := range []string{whole, change} {
			if err := yaml.Unmarshal([]byte(text), &fields); err != nil {
				t.Fatalf("the test's own YAML: %v", err)
			}
		}
		return fields
	}
	if _, err := create(t, c, object("AirlockProfile", spec("{}"))); err != nil {
		t.Errorf("not accepted: %v", err)
	}
	for _, want := range []refusal{
		{spec: "{stage: Lax}", field: "stage", says: "supported values"},
		{spec: "{workload: ''}", field: "workload", says: "at least 1 chars long"},
		{spec: "{current: {hash: abc}}", field: "current.image", says: "Required value"},
		{spec: "{ports: [{port: 1, sidecarPort: 0}]}", field: "ports[0].sidecarPort", says: "greater than or equal to 1"},
		{spec: "{ports: [{port: 1, sidecarPort: 2}, {port: 1, sidecarPort: 3}]}", field: "ports[1]", says: "Duplicate value"},
		{spec: "{upstreams: [{name: a/b, ip: 127.0.64.1}]}", field: "upstreams[0].labWorkload", says: "Required value"},
		{spec: "{known: " + list(9, "{hash: h%d, image: i, memory: 1, secret: s, configMap: c}") + "}", field: "known", says: "must have at most 8 items"},
	} {
		refuses(t, c, object("AirlockProfile", spec(want.spec)), want)
	}
}
