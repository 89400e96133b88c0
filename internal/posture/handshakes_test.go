// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/posture"
)

func TestHandshakesAreToldAndSeldomWritten(t *testing.T) {
	now := time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)
	minutesAgo := func(minutes int) time.Time { return now.Add(-time.Duration(minutes) * time.Minute) }
	pod := func(name string, at time.Time) posture.AirlockPod {
		return posture.AirlockPod{Injected: true, Facts: posture.AirlockFacts{Report: report.Report{Upstreams: []report.Upstream{{Name: name, LastHandshake: &at}}}}}
	}
	status := func(name string, at time.Time) v1alpha1.TransitUpstreamStatus {
		return v1alpha1.TransitUpstreamStatus{Name: name, LastHandshake: &metav1.Time{Time: at}}
	}
	const lis, portal, gone = "pathology/lis:2575", "pathology/portal:443", "pathology/gone:1"
	upstreams := []string{lis, portal}
	for name, test := range map[string]struct {
		pods   []posture.AirlockPod
		before []v1alpha1.TransitUpstreamStatus
		want   []v1alpha1.TransitUpstreamStatus
	}{
		"nothing is known":                       {pods: []posture.AirlockPod{{Injected: true}}},
		"the latest of all pods":                 {pods: []posture.AirlockPod{pod(lis, minutesAgo(9)), pod(lis, minutesAgo(1)), pod(lis, minutesAgo(5))}, want: []v1alpha1.TransitUpstreamStatus{status(lis, minutesAgo(1))}},
		"in the order of their names":            {pods: []posture.AirlockPod{pod(portal, minutesAgo(1)), pod(lis, minutesAgo(9))}, want: []v1alpha1.TransitUpstreamStatus{status(lis, minutesAgo(9)), status(portal, minutesAgo(1))}},
		"a little later is not written":          {pods: []posture.AirlockPod{pod(lis, minutesAgo(1))}, before: []v1alpha1.TransitUpstreamStatus{status(lis, minutesAgo(15))}, want: []v1alpha1.TransitUpstreamStatus{status(lis, minutesAgo(15))}},
		"a quarter of an hour later is":          {pods: []posture.AirlockPod{pod(lis, minutesAgo(1))}, before: []v1alpha1.TransitUpstreamStatus{status(lis, minutesAgo(16))}, want: []v1alpha1.TransitUpstreamStatus{status(lis, minutesAgo(1))}},
		"what was shown stays shown":             {before: []v1alpha1.TransitUpstreamStatus{status(lis, minutesAgo(600))}, want: []v1alpha1.TransitUpstreamStatus{status(lis, minutesAgo(600))}},
		"an older one of another pod is no news": {pods: []posture.AirlockPod{pod(lis, minutesAgo(700))}, before: []v1alpha1.TransitUpstreamStatus{status(lis, minutesAgo(600))}, want: []v1alpha1.TransitUpstreamStatus{status(lis, minutesAgo(600))}},
		"an upstream that is none any more":      {pods: []posture.AirlockPod{pod(gone, minutesAgo(1))}, before: []v1alpha1.TransitUpstreamStatus{status(gone, minutesAgo(600))}},
		"a name that labguard has not given":     {pods: []posture.AirlockPod{pod(lis+strings.Repeat("x", 900), minutesAgo(1)), pod("", minutesAgo(1))}},
		"a handshake that lies ahead":            {pods: []posture.AirlockPod{pod(lis, minutesAgo(-1))}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, posture.Handshakes(test.pods, test.before, upstreams, now)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	// With more upstreams than a status has room for, and all of them busy, nothing is written anew before a step has passed.
	var many []posture.AirlockPod
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("pathology/s%03d:1", i))
		many = append(many, pod(names[i], minutesAgo(i%10)))
	}
	first := posture.Handshakes(many, nil, names, now)
	if len(first) != 64 || first[63].Name != "pathology/s063:1" {
		t.Fatalf("got %d, the last is %v: want the first 64 by name", len(first), first[len(first)-1])
	}
	for i := range many {
		many[i] = pod(names[i], minutesAgo(-4+i%10))
	}
	if diff := cmp.Diff(first, posture.Handshakes(many, first, names, now.Add(5*time.Minute))); diff != "" {
		t.Errorf("written anew (-first +later):\n%s", diff)
	}
}
