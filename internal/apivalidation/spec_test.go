// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import "strings"

func selectionRules() []rule {
	const date = `write a date such as "2027-01-15" (midnight UTC) or an RFC 3339 instant`
	return []rule{
		{
			name:     "the selector chooses something",
			accepted: []string{"", "selector: {matchExpressions: [{key: app, operator: Exists}]}"},
			refused: []refusal{
				{spec: "selector: {}", field: "selector", says: "give matchLabels or matchExpressions, such as matchLabels: {app: lis}"},
				{spec: "selector: {matchLabels: {}}", field: "selector", says: "selector is empty and would govern every pod"},
				{spec: "selector: null", field: "selector", says: "Required value"},
			},
		},
		{
			name: "the operators of the selector are known and have the values that they need",
			accepted: []string{
				"selector: {matchExpressions: [{key: app, operator: In, values: [lis]}]}",
				"selector: {matchExpressions: [{key: app, operator: DoesNotExist}]}",
			},
			refused: []refusal{
				{spec: "selector: {matchExpressions: [{key: app, operator: Is, values: [lis]}]}", field: "selector", says: "operator must be In, NotIn, Exists or DoesNotExist"},
				{spec: "selector: {matchExpressions: [{key: app, operator: In}]}", field: "selector", says: "In and NotIn need values"},
				{spec: "selector: {matchExpressions: [{key: app, operator: Exists, values: [lis]}]}", field: "selector", says: "Exists and DoesNotExist take none"},
			},
		},
		{
			name:     "enforcement has two answers",
			accepted: []string{"enforcement: Audit", "enforcement: Enforce", "images: {maxAge: 2160h, enforcement: Enforce}"},
			refused: []refusal{
				{spec: "enforcement: enforce", field: "enforcement", says: `supported values: "Audit", "Enforce"`},
				{spec: "images: {maxAge: 2160h, enforcement: Warn}", field: "images.enforcement", says: `supported values: "Audit", "Enforce"`},
				{spec: "network: {enforcement: Off}", field: "network.enforcement", says: `supported values: "Audit", "Enforce"`},
			},
		},
		{
			name: "enforceAfter is a date or an instant",
			accepted: []string{
				"{enforcement: Enforce, enforceAfter: '2027-01-15'}",
				"{enforcement: Enforce, enforceAfter: '2028-02-29'}",
				"{enforcement: Enforce, enforceAfter: '2027-01-15T06:00:00Z'}",
				"{enforcement: Enforce, enforceAfter: '2027-01-15T06:00:00+02:00'}",
			},
			refused: []refusal{
				{spec: "{enforcement: Enforce, enforceAfter: tomorrow at noon}", field: "enforceAfter", says: date},
				{spec: "{enforcement: Enforce, enforceAfter: 15.01.2027}", field: "enforceAfter", says: date},
				{spec: "{enforcement: Enforce, enforceAfter: '2027-13-01'}", field: "enforceAfter", says: date},
				{spec: "{enforcement: Enforce, enforceAfter: '2027-02-30'}", field: "enforceAfter", says: date},
				{spec: "{enforcement: Enforce, enforceAfter: '2027-04-31'}", field: "enforceAfter", says: date},
				{spec: "{enforcement: Enforce, enforceAfter: '2027-01-15T06:00:00'}", field: "enforceAfter", says: date},
				{spec: "{enforcement: Enforce, enforceAfter: '2027-01-15T06:00:00+99:00'}", field: "enforceAfter", says: date},
				{spec: "{enforcement: Enforce, enforceAfter: '2027-02-29'}", field: "enforceAfter", says: "that year has no 29 February"},
				{spec: "{enforcement: Enforce, enforceAfter: '2100-02-29'}", field: "enforceAfter", says: "that year has no 29 February"},
				{spec: "{enforcement: Enforce, enforceAfter: soon}", field: "enforceAfter", says: "at least 10 chars long"},
				{spec: "{enforcement: Enforce, enforceAfter: '" + strings.Repeat("2", 33) + "'}", field: "enforceAfter", says: "may not be more than 32"},
			},
		},
		{
			name: "enforceAfter delays something",
			accepted: []string{
				"{enforceAfter: '2027-01-15', images: {maxAge: 2160h, enforcement: Enforce}}",
				"{enforceAfter: '2027-01-15', network: {enforcement: Enforce}}",
				"{enforceAfter: '2027-01-15', encryption: {inTransit: {provider: Application, issuerRef: {name: ca}, enforcement: Enforce}}}",
			},
			refused: []refusal{
				{spec: "enforceAfter: '2027-01-15'", says: "nothing here enforces: set enforcement: Enforce, or remove enforceAfter"},
				{spec: "{enforceAfter: '2027-01-15', images: {maxAge: 2160h}}", says: "nothing here enforces: set enforcement: Enforce"},
			},
		},
		{
			name:     "a field that does not exist is no silent no-op",
			accepted: []string{"suspend: true"},
			refused: []refusal{
				{spec: "enforcment: Enforce", field: "enforcment", says: "unknown field"},
				{spec: "images: {maxAge: 2160h, maxage: 1h}", field: "images.maxage", says: "unknown field"},
				{spec: "encryption: {atRest: {volumes: Required}}", field: "encryption.atRest", says: "unknown field"},
			},
		},
	}
}
