// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"fmt"
	"time"
)

// isSilent says whether the airlock of a pod has not reported for so long.
func (p *AirlockPod) isSilent(after time.Duration, now time.Time) bool {
	return p.Injected && (p.Facts.ReportedAt.IsZero() || now.Sub(p.Facts.ReportedAt) > after)
}

// silence says in at most one sentence of which pods nothing was heard for so long, since when, and what to do. It names instants, not how long ago they were: a
// sentence that changes each minute would be written each minute.
func silence(pods []AirlockPod, after time.Duration, now time.Time) []string {
	var silent []string
	failure := ""
	for i := range pods {
		pod := &pods[i]
		if !pod.isSilent(after, now) {
			continue
		}
		silent = append(silent, cut(plain(pod.Name), 63)+since(pod))
		if failure == "" && pod.Facts.Failure != "" {
			failure = "; a try failed: " + cut(plain(pod.Facts.Failure), 100)
		}
	}
	if len(silent) == 0 {
		return nil
	}
	return []string{fmt.Sprintf(
		"no report of pod %s: look at the log of its container %s and at what is between labguard and port 15091, or delete the pod%s", List(silent), airlockContainer, failure,
	)}
}

// since is from when on nothing was heard of a pod.
func since(pod *AirlockPod) string {
	const minutes = "2006-01-02T15:04Z"
	switch {
	case !pod.Facts.ReportedAt.IsZero():
		return " (since " + pod.Facts.ReportedAt.UTC().Format(minutes) + ")"
	case pod.Facts.AskedSince.After(pod.Created):
		return " (asked since " + pod.Facts.AskedSince.UTC().Format(minutes) + ")"
	case !pod.Created.IsZero():
		return " (made " + pod.Created.UTC().Format(minutes) + ")"
	default:
		return ""
	}
}
