// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/ledger"
)

func TestRecoveryEnd(t *testing.T) {
	first := metav1.NewTime(now.Add(-20 * time.Hour))
	seenBefore := &v1alpha1.Epoch{RecoverySince: &first}
	unix := func(instant time.Time) string { return strconv.FormatInt(instant.Unix(), 10) }
	tests := map[string]struct {
		value string
		epoch *v1alpha1.Epoch
		want  time.Time
	}{
		"is the instant of the label":                                           {unix(now.Add(time.Hour)), seenBefore, now.Add(time.Hour)},
		"is the instant of the label when it is seen for the first time":        {unix(now.Add(time.Hour)), nil, now.Add(time.Hour)},
		"counts a value in 2030 as 24 h after it was first seen":                {"1895000000", seenBefore, now.Add(4 * time.Hour)},
		"counts a value in 2030 as 24 h from now if nobody has seen it before":  {"1895000000", &v1alpha1.Epoch{}, now.Add(24 * time.Hour)},
		"counts a value in 2030 as 24 h from now where no epoch has begun":      {"1895000000", nil, now.Add(24 * time.Hour)},
		"does not prolong when the label is set again to a later instant":       {unix(now.Add(10 * time.Hour)), seenBefore, now.Add(4 * time.Hour)},
		"is in the past when a person ends it by a time in the past":            {"1", seenBefore, time.Unix(1, 0)},
		"is at once for a word":                                                 {"tomorrow", seenBefore, now},
		"is at once for an RFC 3339 instant, as the policy wants unix seconds":  {"2026-11-24T00:00:00Z", nil, now},
		"is at once for nothing":                                                {"", nil, now},
		"is at once for a number that does not fit":                             {"99999999999999999999999", nil, now},
		"is in the past for a negative number":                                  {"-5", nil, time.Unix(-5, 0)},
		"is at most 24 h after it was first seen also for exactly that instant": {unix(first.Add(24 * time.Hour)), seenBefore, now.Add(4 * time.Hour)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			end, found := ledger.RecoveryEnd(map[string]string{v1alpha1.RecoveryLabel: test.value}, test.epoch, now)
			if !found || !end.Equal(test.want) {
				t.Errorf("got %s %t, want %s", end, found, test.want)
			}
		})
	}
	if _, found := ledger.RecoveryEnd(map[string]string{"other": "1"}, seenBefore, now); found {
		t.Error("a namespace without the label is in recovery")
	}
}

func FuzzRecoveryNeverLastsLongerThanADay(f *testing.F) {
	f.Add("1895000000")
	f.Add("")
	f.Add("9223372036854775807")
	f.Add("-9223372036854775808")
	f.Fuzz(func(t *testing.T, value string) {
		end, found := ledger.RecoveryEnd(map[string]string{v1alpha1.RecoveryLabel: value}, nil, now)
		if !found || end.After(now.Add(ledger.MaxRecovery)) {
			t.Errorf("%q ends %s", value, end)
		}
	})
}
