// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import "strings"

func certificatesRules() []rule {
	const field = "encryption.inTransit"
	certificate := func(fields string) string { return transit("certificate: {" + fields + "}") }
	return []rule{
		{
			name: "the provider is one that exists", accepted: []string{transit("")},
			refused: []refusal{
				{spec: "encryption: {inTransit: {provider: Mesh, issuerRef: {name: ca}}}", field: field + ".provider", says: `supported values: "Application"`},
				{spec: "encryption: {inTransit: {issuerRef: {name: ca}}}", field: field + ".provider", says: "Required value"},
			},
		},
		{
			name:     "the issuer has a name and a kind of cert-manager's",
			accepted: []string{"encryption: {inTransit: {provider: Application, issuerRef: {kind: Issuer, name: ca}}}"},
			refused: []refusal{
				{spec: "encryption: {inTransit: {provider: Application}}", field: field + ".issuerRef", says: "Required value"},
				{spec: "encryption: {inTransit: {provider: Application, issuerRef: {kind: Issuer}}}", field: field + ".issuerRef.name", says: "Required value"},
				{spec: "encryption: {inTransit: {provider: Application, issuerRef: {kind: Vault, name: ca}}}", field: field + ".issuerRef.kind", says: `supported values: "Issuer", "ClusterIssuer"`},
			},
		},
		{
			name: "the Secret has a name that a Secret can have", accepted: []string{certificate("secretName: lis-tls"), certificate("secretName: tls.lis.2")},
			refused: []refusal{
				{spec: certificate("secretName: LIS_TLS"), field: field + ".certificate.secretName", says: "write a Secret name: lower-case letters, digits, '-' and '.', such as lis-tls"},
				{spec: certificate("secretName: lis..tls"), field: field + ".certificate.secretName", says: "write a Secret name"},
				{spec: certificate("secretName: lis-.tls"), field: field + ".certificate.secretName", says: "write a Secret name"},
				{spec: certificate("secretName: labguard-ca"), field: field + ".certificate.secretName", says: "reserved for labguard's own Secrets: choose another"},
				{spec: transit("certificate: {}"), field: field + ".certificate", says: "at least 1 properties"},
			},
		},
		{
			name: "Services are bare names, each once", accepted: []string{certificate("services: [lis, lis-read]"), certificate("services: []")},
			refused: []refusal{
				{spec: certificate("services: [lis.pathology.svc]"), field: field + ".certificate.services", says: "write the bare name of a Service in this namespace, such as lis"},
				{spec: certificate("services: ['*']"), field: field + ".certificate.services", says: "write the bare name of a Service"},
				{spec: certificate("services: [lis, lis]"), field: field + ".certificate.services[1]", says: "Duplicate value"},
				{spec: certificate("services: " + list(17, "s%d")), field: field + ".certificate.services", says: "must have at most 16 items"},
			},
		},
	}
}

func agesRules() []rule {
	const form = "write hours, minutes and seconds, such as 2160h for 90 days"
	images := func(maxAge, more string) string { return "images: {maxAge: '" + maxAge + "'" + more + "}" }
	return []rule{
		{
			name:     "a time is in hours, minutes and seconds",
			accepted: []string{images("2160h", ""), images("1h", ""), images("36h30m15s", ""), images("90m", ""), images("87600h", "")},
			refused: []refusal{
				{spec: images("90d", ""), field: "images.maxAge", says: form},
				{spec: images("-5h", ""), field: "images.maxAge", says: form},
				{spec: images("99999999h", ""), field: "images.maxAge", says: form},
				{spec: images("1e9h", ""), field: "images.maxAge", says: form},
				{spec: images("1.5h", ""), field: "images.maxAge", says: form},
				{spec: images("2160 h", ""), field: "images.maxAge", says: form},
				{spec: images("30m1h", ""), field: "images.maxAge", says: form},
				{spec: images("forever", ""), field: "images.maxAge", says: form},
				{spec: images("2160", ""), field: "images.maxAge", says: form},
				{spec: images("", ""), field: "images.maxAge", says: "at least 2 chars long"},
				{spec: "images: {maxAge: 2160}", field: "images.maxAge", says: `must be of type string: "integer"`},
				{spec: images(strings.Repeat("1", 21)+"h", ""), field: "images.maxAge", says: "may not be more than 20"},
				{spec: images("2160h", ", warnBefore: 14d"), field: "images.warnBefore", says: form},
			},
		},
		{
			name:     "a time is neither nothing nor for ever",
			accepted: []string{images("60m", ""), images("87600h", ", warnBefore: 0h")},
			refused: []refusal{
				{spec: images("0h", ""), field: "images.maxAge", says: "images.maxAge must be at least 1h"},
				{spec: images("59m59s", ""), field: "images.maxAge", says: "images.maxAge must be at least 1h"},
				{spec: images("87601h", ""), field: "images.maxAge", says: "more than ten years (87600h): write a shorter time"},
				{spec: images("999999h999999m999999s", ""), field: "images.maxAge", says: "may not be more than 20"},
				{spec: images("999999h999999m", ""), field: "images.maxAge", says: "more than ten years (87600h)"},
				{spec: "images: {onStale: Deny}", field: "images.maxAge", says: "Required value"},
			},
		},
		{
			name: "a warning comes later than the image", accepted: []string{images("2160h", ", warnBefore: 336h"), images("2160h", ", warnBefore: 2159h59m59s")},
			refused: []refusal{
				{spec: images("2160h", ", warnBefore: 2160h"), field: "images", says: "images.warnBefore must be shorter than images.maxAge"},
				{spec: images("24h", ", warnBefore: 336h"), field: "images", says: "images.warnBefore must be shorter than images.maxAge"},
			},
		},
		{
			name:     "an image grows old enough before it is too old",
			accepted: []string{images("2160h", ", minAge: 72h"), images("2160h", ", minAge: 2159h59m59s"), images("2160h", ", minAge: 0h")},
			refused: []refusal{
				{spec: images("2160h", ", minAge: 2160h"), field: "images", says: "images.minAge must be shorter than images.maxAge"},
				{spec: images("24h", ", minAge: 72h"), field: "images", says: "images.minAge must be shorter than images.maxAge"},
				{spec: images("2160h", ", minAge: 3d"), field: "images.minAge", says: form},
				{spec: images("2160h", ", minAge: 99999h"), field: "images.minAge", says: "more than ten years (87600h)"},
			},
		},
		{
			name: "stale and unknown have known answers",
			accepted: []string{
				images("2160h", ", onStale: Warn, onUnknownAge: Deny"), images("2160h", ", onStale: Hold, onUnknownAge: Hold"), images("2160h", ", onStale: Deny, onUnknownAge: Warn"),
			},
			refused: []refusal{
				{spec: images("2160h", ", onStale: Ignore"), field: "images.onStale", says: `supported values: "Deny", "Hold", "Warn"`},
				{spec: images("2160h", ", onUnknownAge: Allow"), field: "images.onUnknownAge", says: `supported values: "Deny", "Hold", "Warn"`},
			},
		},
	}
}

func exemptionsRules() []rule {
	exempt := func(fields string) string { return "images: {maxAge: 2160h, exempt: [{" + fields + "}]}" }
	of := func(pattern string) string {
		return exempt("pattern: '" + pattern + "', reason: 'vendor ships yearly', expires: '2027-01-15T00:00:00Z'")
	}
	const pattern = "pattern is a repository with its registry and without a tag, such as registry.example/vendor/lis"
	return []rule{
		{
			name: "an exemption names repositories, without tags",
			accepted: []string{
				"images: {maxAge: 2160h, exempt: []}", of("registry.example/vendor/lis"), of("registry.example/vendor/*"), of("registry.example/*"), of("registry.example:5000/lis"),
			},
			refused: []refusal{
				{spec: of("lis"), field: "images.exempt[0].pattern", says: pattern},
				{spec: of("registry.example/vendor/lis:1.2"), field: "images.exempt[0].pattern", says: pattern},
				{spec: of("registry.example/vendor/lis@sha256:00"), field: "images.exempt[0].pattern", says: pattern},
				{spec: of("*/lis"), field: "images.exempt[0].pattern", says: pattern},
				{spec: of("***"), field: "images.exempt[0].pattern", says: pattern},
				{spec: of("registry.example/*/lis"), field: "images.exempt[0].pattern", says: pattern},
				{spec: of("https://registry.example/lis"), field: "images.exempt[0].pattern", says: pattern},
			},
		},
		{
			name: "an exemption has a reason and an end", accepted: []string{of("registry.example/lis")},
			refused: []refusal{
				{spec: exempt("pattern: r.example/lis, expires: '2027-01-15T00:00:00Z'"), field: "images.exempt[0].reason", says: "Required value"},
				{spec: exempt("pattern: r.example/lis, expires: '2027-01-15T00:00:00Z', reason: old"), field: "images.exempt[0].reason", says: "at least 8 chars long"},
				{spec: exempt("pattern: r.example/lis, reason: 'vendor ships yearly'"), field: "images.exempt[0].expires", says: "Required value"},
				{spec: exempt("pattern: r.example/lis, reason: 'vendor ships yearly', expires: never"), field: "images.exempt[0].expires", says: "must be of type date-time"},
			},
		},
	}
}
