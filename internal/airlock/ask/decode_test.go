// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/posture"
)

func FuzzDecode(f *testing.F) {
	at := now
	full, err := json.Marshal(report.Report{
		Now: now, Started: now, Build: "1", Identity: &report.Identity{ID: lisID, NotAfter: now}, Bundles: map[string][]string{domain: {"a"}},
		Ports:     []report.Port{{Port: 2575, Undeclared: []report.PlaintextPeer{{Address: podAddress, LastSeen: now}}}},
		Upstreams: []report.Upstream{{Name: "a", LastPlaintext: &at}},
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(full), "{}", "null", "[]", `{"ports":[{"kubelet":-1}]}`, `{"now":"yesterday"}`, "{}{}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		said, err := decode(content)
		if err != nil {
			return
		}
		encoded, err := json.Marshal(said)
		if err != nil {
			return // a year that JSON does not have
		}
		if _, err := decode(encoded); err != nil && len(encoded) <= report.MaxBytes {
			t.Errorf("what was taken is refused once it is written again: %v", err)
		}
		material(posture.AirlockFacts{}, posture.AirlockFacts{Report: said})
	})
}

func TestOnlyWhatADecisionDependsOnIsAChange(t *testing.T) {
	base := func() posture.AirlockFacts {
		return posture.AirlockFacts{ReportedAt: now, Report: report.Report{
			Now: now, Started: now, Identity: &report.Identity{Root: "a"}, Bundles: map[string][]string{domain: {"a"}},
			Ports:       []report.Port{{Port: 1, Secure: 5, Undeclared: []report.PlaintextPeer{{Address: "a", LastSeen: now}}, UndeclaredTotal: 1}},
			Connections: []report.Connections{{Peer: "p", Root: "a", Count: 3}}, Upstreams: []report.Upstream{{Name: "u", Secure: 7, Plaintext: 2}},
		}, Probes: []posture.Probe{{Address: "a", Port: 1, At: now, Control: true}}}
	}
	tests := map[string]struct {
		change func(*posture.AirlockFacts)
		want   bool
	}{
		"nothing": {func(*posture.AirlockFacts) {}, false},
		"time": {func(f *posture.AirlockFacts) {
			f.ReportedAt, f.Report.Now, f.Probes[0].At = now.Add(time.Minute), now.Add(time.Minute), now.Add(time.Minute)
		}, false},
		"traffic": {func(f *posture.AirlockFacts) {
			f.Report.Ports[0].Secure, f.Report.Connections[0].Count, f.Report.Upstreams[0].Secure = 9, 9, 9
		}, false},
		"the same plaintext peer":  {func(f *posture.AirlockFacts) { f.Report.Ports[0].Undeclared[0].LastSeen = now.Add(time.Minute) }, false},
		"another plaintext peer":   {func(f *posture.AirlockFacts) { f.Report.Ports[0].UndeclaredTotal++ }, true},
		"the last connection ends": {func(f *posture.AirlockFacts) { f.Report.Connections[0].Count = 0 }, true},
		"another root":             {func(f *posture.AirlockFacts) { f.Report.Identity = &report.Identity{Root: "b"} }, true},
		"a bundle":                 {func(f *posture.AirlockFacts) { f.Report.Bundles = map[string][]string{domain: {"a", "b"}} }, true},
		"silence":                  {func(f *posture.AirlockFacts) { f.Failure = "it does not answer" }, true},
		"a port that is reached":   {func(f *posture.AirlockFacts) { f.Probes[0].Reached = true }, true},
		"a restart":                {func(f *posture.AirlockFacts) { f.Report.Started = now.Add(time.Minute) }, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			after := base()
			test.change(&after)
			if got := material(base(), after); got != test.want {
				t.Errorf("a change: %t", got)
			}
		})
	}
	if !material(posture.AirlockFacts{}, base()) {
		t.Error("the first report is no change")
	}
}
