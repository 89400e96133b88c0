// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"time"
)

// Away is how far an instant is from another, such as "in 12 days" or "3 hours ago". Below a minute it is "now".
func Away(at, now time.Time) string {
	length := at.Sub(now)
	if length < 0 {
		if text := long(-length); text != "" {
			return text + " ago"
		}
		return "now"
	}
	if text := long(length); text != "" {
		return "in " + text
	}
	return "now"
}

// long says a length of time in the largest unit of which there are two, rounded down: a deadline never looks further away than it is.
func long(length time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case length >= 2*day:
		return fmt.Sprintf("%d days", length/day)
	case length >= 2*time.Hour:
		return fmt.Sprintf("%d hours", length/time.Hour)
	case length >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", length/time.Minute)
	case length >= time.Minute:
		return "1 minute"
	default:
		return ""
	}
}
