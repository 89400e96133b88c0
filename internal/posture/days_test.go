// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"testing"
	"time"
)

func TestDaysSaysWholeDaysOfTwentyFourHours(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		length time.Duration
		want   string
	}{
		"nothing is no hours":                                     {0, "0 hours"},
		"a date a little in the future is no hours":               {-9 * time.Minute, "0 hours"},
		"one hour is singular":                                    {119 * time.Minute, "1 hour"},
		"just below two days is told in hours":                    {48*time.Hour - 1, "47 hours"},
		"two days are days":                                       {48 * time.Hour, "2 days"},
		"a nanosecond short of ninety days is eighty-nine":        {90*day - 1, "89 days"},
		"ninety days are ninety":                                  {90 * day, "90 days"},
		"a leap year has its true number of days":                 {time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC).Sub(time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)), "366 days"},
		"a length that is no whole number of days is rounded off": {100 * time.Hour, "4 days"},
		"the longest length that there is does not overflow":      {1<<63 - 1, "106751 days"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Days(test.length); got != test.want {
				t.Errorf("Days(%s) = %q, want %q", test.length, got, test.want)
			}
		})
	}
}

func TestALimitIsToldExactly(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		length time.Duration
		want   string
	}{
		"ninety days":                  {2160 * time.Hour, "90 days"},
		"a hundred hours stay hours":   {100 * time.Hour, "100 hours"},
		"one hour is singular":         {time.Hour, "1 hour"},
		"one day is told in hours":     {24 * time.Hour, "24 hours"},
		"minutes are not left out":     {90 * time.Minute, "1h30m0s"},
		"a limit of nothing is nought": {0, "0 hours"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := exactly(test.length); got != test.want {
				t.Errorf("exactly(%s) = %q, want %q", test.length, got, test.want)
			}
		})
	}
}
