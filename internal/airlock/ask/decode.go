// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"reflect"

	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/posture"
)

const (
	// maxEntries bounds each list and map of a report, maxText each text.
	maxEntries, maxText = 4096, 1024
)

// decode reads a report. Keys that are not known are left out: the airlock of a pod may be newer than labguard. All lists and texts are bounded, and no
// count is below zero.
func decode(content []byte) (report.Report, error) {
	if len(content) > report.MaxBytes {
		return report.Report{}, errors.New("its report is too long")
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	var said report.Report
	if err := decoder.Decode(&said); err != nil {
		return report.Report{}, errors.New("its report is no JSON of the right shape")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return report.Report{}, errors.New("something follows its report")
	}
	if !bounded(reflect.ValueOf(said)) {
		return report.Report{}, errors.New("its report has too long a list or text, or a count below zero")
	}
	for i := range said.Ports {
		if len(said.Ports[i].Undeclared) > report.MaxPeers {
			return report.Report{}, errors.New("its report names too many peers")
		}
	}
	return said, nil
}

func bounded(value reflect.Value) bool {
	switch value.Kind() {
	case reflect.String:
		return value.Len() <= maxText
	case reflect.Int, reflect.Int64:
		return value.Int() >= 0
	case reflect.Pointer:
		return value.IsNil() || bounded(value.Elem())
	case reflect.Slice:
		return value.Len() <= maxEntries && all(value.Seq2(), func(_, entry reflect.Value) bool { return bounded(entry) })
	case reflect.Map:
		return value.Len() <= maxEntries && all(value.Seq2(), func(key, entry reflect.Value) bool { return bounded(key) && bounded(entry) })
	case reflect.Struct:
		return all(value.Fields(), func(field reflect.StructField, inner reflect.Value) bool {
			return !field.IsExported() || bounded(inner)
		})
	default:
		return true
	}
}

func all[K, V any](entries iter.Seq2[K, V], holds func(K, V) bool) bool {
	for key, entry := range entries {
		if !holds(key, entry) {
			return false
		}
	}
	return true
}

// material says whether a decision may depend on what has changed. That time goes on, and that traffic does, is nothing that wakes anybody.
func material(before, after posture.AirlockFacts) bool {
	return before.ReportedAt.IsZero() != after.ReportedAt.IsZero() || before.Failure != after.Failure ||
		!reflect.DeepEqual(essence(before), essence(after))
}

// essence is what decisions depend on.
func essence(facts posture.AirlockFacts) posture.AirlockFacts {
	said := facts.Report
	essential := posture.AirlockFacts{Report: report.Report{
		Started: said.Started, Build: said.Build, Configuration: said.Configuration, ConfigurationError: said.ConfigurationError,
		Identity: said.Identity, IdentityError: said.IdentityError, Bundles: said.Bundles, Authorities: said.Authorities,
		Unattributed: said.Unattributed, ListenErrors: said.ListenErrors,
	}}
	for _, port := range said.Ports {
		seen := report.Port{Port: port.Port, Listening: port.Listening, UndeclaredTotal: port.UndeclaredTotal}
		for _, peer := range port.Undeclared {
			seen.Undeclared = append(seen.Undeclared, report.PlaintextPeer{Address: peer.Address})
		}
		seen.Secure = min(port.Secure, 1) // the first one is news
		essential.Report.Ports = append(essential.Report.Ports, seen)
	}
	for _, connections := range said.Connections {
		essential.Report.Connections = append(essential.Report.Connections, report.Connections{Peer: connections.Peer, Root: connections.Root, Count: min(connections.Count, 1)})
	}
	for _, upstream := range said.Upstreams {
		essential.Report.Upstreams = append(essential.Report.Upstreams, report.Upstream{
			Name: upstream.Name, Secure: min(upstream.Secure, 1), Plaintext: min(upstream.Plaintext, 1), LastError: upstream.LastError,
		})
	}
	for _, probe := range facts.Probes {
		essential.Probes = append(essential.Probes, posture.Probe{
			Address: probe.Address, Port: probe.Port, Reached: probe.Reached, Control: probe.Control, SameNode: probe.SameNode,
		})
	}
	return essential
}
