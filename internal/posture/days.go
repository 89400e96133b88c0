// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"fmt"
	"time"
)

// A day is 24 hours: an age is a length of time and knows no calendar, so that leap days and summer time take no part.
const day = 24 * time.Hour

// Days says a length of time in whole days of 24 hours, or in hours below two days; the rest is left out.
func Days(length time.Duration) string {
	if length < 2*day {
		return plural(length/time.Hour, "hour")
	}
	return plural(length/day, "day")
}

// exactly says a limit without leaving anything out, in the largest unit that fits.
func exactly(length time.Duration) string {
	switch {
	case length >= 2*day && length%day == 0:
		return plural(length/day, "day")
	case length%time.Hour == 0:
		return plural(length/time.Hour, "hour")
	default:
		return length.String()
	}
}

func plural(number time.Duration, unit string) string {
	if number == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", int64(number), unit)
}
