// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/labguard/labguard/internal/airlock/journal"
)

// written are the lines of a log.
func written(t *testing.T, text *bytes.Buffer) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for decoder := json.NewDecoder(text); decoder.More(); {
		line := map[string]any{}
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		delete(line, "time")
		lines = append(lines, line)
	}
	return lines
}

func TestLine(t *testing.T) {
	var text bytes.Buffer
	journal.New(slog.New(slog.NewJSONHandler(&text, nil)), clocktesting.NewFakePassiveClock(time.Unix(0, 0))).Ended(journal.Entry{
		Half: "server", Name: "mllp", Kind: "secure", Peer: "spiffe://a/b", Source: netip.MustParseAddrPort("10.0.0.1:4000"),
		Root: "0123456789abcdef0123456789abcdef", Reason: "Closed", Received: 7, Sent: 8, Duration: 1500 * time.Millisecond,
	})
	want := []map[string]any{{
		"level": "INFO", "msg": "connection ended", "half": "server", "name": "mllp", "kind": "secure", "peer": "spiffe://a/b", "source": "10.0.0.1:4000",
		"root": "0123456789abcdef", "reason": "Closed", "received": 7.0, "sent": 8.0, "seconds": 1.5,
	}}
	if diff := cmp.Diff(want, written(t, &text)); diff != "" {
		t.Error(diff)
	}
}

// TestScanner knocks ten thousand times in ten seconds.
func TestScanner(t *testing.T) {
	var text bytes.Buffer
	clock := clocktesting.NewFakePassiveClock(time.Unix(0, 0))
	lines := journal.New(slog.New(slog.NewJSONHandler(&text, nil)), clock)
	for n := range 10_000 {
		clock.SetTime(time.Unix(0, int64(n)*int64(time.Millisecond)))
		lines.Refused(journal.Entry{Half: "server", Name: "mllp", Reason: "NotTLS"})
	}
	lines.Refused(journal.Entry{Half: "server", Name: "mllp", Reason: "Expired"})
	all := written(t, &text)
	if len(all) < 15 || len(all) > 25 {
		t.Errorf("there are %d lines", len(all))
	}
	suppressed := 0.0
	for _, line := range all {
		if n, ok := line["suppressed"].(float64); ok {
			suppressed += n
		}
	}
	if suppressed < 8000 {
		t.Errorf("%v are said to be left out", suppressed)
	}
	if last := all[len(all)-1]; last["reason"] != "Expired" {
		t.Errorf("another reason has no line: %v", last)
	}
}
