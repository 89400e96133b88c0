// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import (
	"fmt"
	"strings"
)

// list is a YAML list of n items that format makes of their numbers.
func list(n int, format string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(format, i+1)
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// transit is a spec with more fields of encryption.inTransit.
func transit(fields string) string {
	return "encryption: {inTransit: {provider: Application, issuerRef: {name: lab-ca}, " + fields + "}}"
}

// port is a spec with one port and more fields of it.
func port(fields string) string { return transit("ports: [{name: mllp, port: 2575, " + fields + "}]") }

// from is a spec with one entry of allowFrom.
func from(peer string) string { return port("allowFrom: [" + peer + "]") }

func portsRules() []rule {
	const (
		ports = "encryption.inTransit.ports"
		one   = "each entry has exactly one of labWorkload, pods, external"
	)
	return []rule{
		{
			name: "a port is a number that TCP has", accepted: []string{transit("ports: [{name: a, port: 1}, {name: b, port: 65535}]")},
			refused: []refusal{
				{spec: transit("ports: [{name: a, port: 0}]"), field: ports + "[0].port", says: "greater than or equal to 1"},
				{spec: transit("ports: [{name: a, port: 65536}]"), field: ports + "[0].port", says: "less than or equal to 65535"},
				{spec: transit("ports: [{name: a, port: mllp}]"), field: ports + "[0].port", says: `must be of type integer: "string"`},
				{spec: transit("ports: [{name: a}]"), field: ports + "[0].port", says: "Required value"},
			},
		},
		{
			name: "no port and no name is given twice", accepted: []string{transit("ports: [{name: a, port: 1}, {name: b, port: 2}]")},
			refused: []refusal{
				{spec: transit("ports: [{name: a, port: 1}, {name: b, port: 1}]"), field: ports, says: "the same port is given twice: merge the two entries, or correct one port"},
				{spec: transit("ports: [{name: a, port: 1}, {name: a, port: 2}]"), field: ports + "[1]", says: "Duplicate value"},
			},
		},
		{
			name: "ports are there or absent", accepted: []string{transit("ports: " + list(32, "{name: p%[1]d, port: %[1]d}"))},
			refused: []refusal{
				{spec: transit("ports: []"), field: ports, says: "should have at least 1 items"},
				{spec: transit("ports: " + list(33, "{name: p%[1]d, port: %[1]d}")), field: ports, says: "must have at most 32 items"},
			},
		},
		{
			name: "a port has a name as a Service port has it", accepted: []string{transit("ports: [{name: hl7-v2, port: 1}]")},
			refused: []refusal{
				{spec: transit("ports: [{name: HL7, port: 1}]"), field: ports + "[0].name", says: "lower-case letters, digits and '-', such as mllp"},
				{spec: transit("ports: [{port: 1}]"), field: ports + "[0].name", says: "Required value"},
			},
		},
		{
			name: "a peer is exactly one thing",
			accepted: []string{
				port("allowFrom: []"), from("{labWorkload: {name: engine}}"), from("{labWorkload: {name: engine, namespace: chemistry}}"),
				from("{pods: {podSelector: {}}}"), from("{pods: {namespaceSelector: {}}}"), from("{external: {cidrs: [10.20.0.0/16]}}"),
			},
			refused: []refusal{
				{spec: from("{}"), field: ports + "[0].allowFrom[0]", says: one},
				{spec: from("{labWorkload: {name: engine}, external: {cidrs: [10.20.0.0/16]}}"), field: ports + "[0].allowFrom[0]", says: one},
				{spec: from("{pods: {podSelector: {}}, external: {cidrs: [10.20.0.0/16]}}"), field: ports + "[0].allowFrom[0]", says: one},
			},
		},
		{
			name: "a peer has what makes it one", accepted: []string{from("{pods: {podSelector: {matchLabels: {app: prometheus}}, namespaceSelector: {}}}")},
			refused: []refusal{
				{spec: from("{labWorkload: {}}"), field: ports + "[0].allowFrom[0].labWorkload.name", says: "Required value"},
				{spec: from("{labWorkload: {name: ''}}"), field: ports + "[0].allowFrom[0].labWorkload.name", says: "at least 1 chars long"},
				{spec: from("{pods: {}}"), field: ports + "[0].allowFrom[0].pods", says: "give podSelector, namespaceSelector or both ({} means all)"},
				{spec: from("{external: {}}"), field: ports + "[0].allowFrom[0].external.cidrs", says: "Required value"},
				{spec: from("{external: {cidrs: []}}"), field: ports + "[0].allowFrom[0].external.cidrs", says: "should have at least 1 items"},
			},
		},
		{
			name: "peers are not without number", accepted: []string{port("allowFrom: " + list(64, "{labWorkload: {name: w%d}}"))},
			refused: []refusal{
				{spec: port("allowFrom: " + list(65, "{labWorkload: {name: w%d}}")), field: ports + "[0].allowFrom", says: "must have at most 64 items"},
			},
		},
	}
}

func addressesRules() []rule {
	const (
		field = "network.egress[0].cidrs[0]"
		says  = "write an address block whose host bits are zero, such as 10.20.0.0/16 or 10.20.1.7/32"
	)
	block := func(cidr string) string { return "network: {egress: [{cidrs: ['" + cidr + "']}]}" }
	return []rule{
		{
			name:     "a block has an address, a length and no host bits",
			accepted: []string{block("10.20.0.0/16"), block("10.20.1.7/32"), block("0.0.0.0/0"), block("2001:db8::/32"), block("::1/128")},
			refused: []refusal{
				{spec: block("10.20.1.7"), field: field, says: says},
				{spec: block("10.20.1.7/16"), field: field, says: says},
				{spec: block("10.20.0.0/33"), field: field, says: says},
				{spec: block("2001:db8::1/32"), field: field, says: says},
				{spec: block("archive.example/16"), field: field, says: says},
				{spec: block("/8"), field: field, says: "at least 4 chars long"},
				{spec: block(strings.Repeat("1", 44)), field: field, says: "may not be more than 43"},
			},
		},
		{
			name: "a block is given once", accepted: []string{"network: {egress: [{cidrs: [10.0.0.0/8, 192.168.0.0/16]}]}"},
			refused: []refusal{
				{spec: "network: {egress: [{cidrs: [10.0.0.0/8, 10.0.0.0/8]}]}", field: "network.egress[0].cidrs[1]", says: "Duplicate value"},
				{spec: "network: {egress: [{cidrs: []}]}", field: "network.egress[0].cidrs", says: "should have at least 1 items"},
				{spec: "network: {egress: [{cidrs: " + list(33, "10.0.0.%d/32") + "}]}", field: "network.egress[0].cidrs", says: "must have at most 32 items"},
			},
		},
	}
}

func egressRules() []rule {
	const one = "each entry has exactly one of labWorkload, pods, cidrs, kubernetesAPI"
	egress := func(peer string) string { return "network: {egress: [" + peer + "]}" }
	return []rule{
		{
			name: "an entry is exactly one thing",
			accepted: []string{
				"network: {egress: []}", egress("{labWorkload: {name: archive, namespace: radiology}}"), egress("{pods: {namespaceSelector: {}}}"),
				egress("{cidrs: [10.9.0.0/16], ports: [{port: 443}, {port: 53, protocol: UDP}]}"), egress("{kubernetesAPI: true}"),
			},
			refused: []refusal{
				{spec: egress("{}"), field: "network.egress[0]", says: one},
				{spec: egress("{ports: [{port: 443}]}"), field: "network.egress[0]", says: one},
				{spec: egress("{kubernetesAPI: true, cidrs: [10.9.0.0/16]}"), field: "network.egress[0]", says: one},
				{spec: egress("{labWorkload: {name: archive}, pods: {podSelector: {}}}"), field: "network.egress[0]", says: one},
			},
		},
		{
			name: "kubernetesAPI is true, with its own ports", accepted: []string{egress("{kubernetesAPI: true}")},
			refused: []refusal{
				{spec: egress("{kubernetesAPI: false}"), field: "network.egress[0].kubernetesAPI", says: "kubernetesAPI is true or absent"},
				{spec: egress("{kubernetesAPI: true, ports: [{port: 443}]}"), field: "network.egress[0]", says: "kubernetesAPI brings its own ports: remove ports"},
			},
		},
		{
			name: "a port of a peer is a number, with a protocol that exists", accepted: []string{egress("{cidrs: [10.9.0.0/16], ports: [{port: 1, protocol: SCTP}]}")},
			refused: []refusal{
				{spec: egress("{cidrs: [10.9.0.0/16], ports: [{port: 70000}]}"), field: "network.egress[0].ports[0].port", says: "less than or equal to 65535"},
				{spec: egress("{cidrs: [10.9.0.0/16], ports: [{port: -1}]}"), field: "network.egress[0].ports[0].port", says: "greater than or equal to 1"},
				{spec: egress("{cidrs: [10.9.0.0/16], ports: [{port: 1, protocol: ICMP}]}"), field: "network.egress[0].ports[0].protocol", says: `supported values: "TCP", "UDP", "SCTP"`},
				{spec: egress("{cidrs: [10.9.0.0/16], ports: []}"), field: "network.egress[0].ports", says: "should have at least 1 items"},
			},
		},
		{
			name:     "a policy of somebody else is accepted by name and with a reason",
			accepted: []string{"network: {accept: []}", "network: {accept: [{name: legacy, reason: 'scanner of the vendor'}]}"},
			refused: []refusal{
				{spec: "network: {accept: [{name: legacy}]}", field: "network.accept[0].reason", says: "Required value"},
				{spec: "network: {accept: [{name: legacy, reason: because}]}", field: "network.accept[0].reason", says: "at least 8 chars long"},
				{spec: "network: {accept: [{name: a, reason: 'long enough'}, {name: a, reason: 'long enough'}]}", field: "network.accept[1]", says: "Duplicate value"},
			},
		},
		{
			name: "a requirement that is named says something", accepted: []string{"network: {enforcement: Audit}"},
			refused: []refusal{
				{spec: "network: {}", field: "network", says: "at least 1 properties"},
				{spec: "encryption: {}", field: "encryption", says: "at least 1 properties"},
			},
		},
	}
}
