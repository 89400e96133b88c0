// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/posture"
)

var stageNow = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// secured is a pod whose airlock has all that it needs, and has reported a minute ago.
func secured(name string) posture.AirlockPod {
	return posture.AirlockPod{
		Name: name, Injected: true, Addresses: []string{"10.1.0.1"},
		Facts: posture.AirlockFacts{
			ReportedAt: stageNow.Add(-time.Minute),
			Report: report.Report{
				Identity: &report.Identity{NotAfter: stageNow.AddDate(0, 0, 10)}, Bundles: map[string][]string{"lab.example": {"aa"}},
				Ports: []report.Port{{Port: 2575, Listening: report.Node}},
			},
			Probes: []posture.Probe{{Address: "10.1.0.1", Port: 2575, At: stageNow.Add(-10 * time.Minute), Control: true, Vantage: "n2"}},
		},
	}
}

// ready is a workload of which nothing keeps Strict away.
func ready() posture.StageObservation {
	return posture.StageObservation{
		Goal: v1alpha1.TransitStageStrict, InForce: v1alpha1.TransitStagePermissive, ObserveFor: 24 * time.Hour, ObservedSince: stageNow.Add(-24 * time.Hour), Ports: 1,
		NetworkEnforced: true, TrustDomain: "lab.example", Pods: []posture.AirlockPod{secured("lis-0"), secured("lis-1")},
	}
}

func undeclared(pod *posture.AirlockPod, ago time.Duration) {
	pod.Facts.Report.Ports = []report.Port{{Port: 2575, UndeclaredTotal: 1, Undeclared: []report.PlaintextPeer{{Address: "10.9.9.9", LastSeen: stageNow.Add(-ago)}}}}
}

func TestStrictIsEnteredOnlyWhereNothingBreaks(t *testing.T) {
	accepted := int64(5)
	tests := map[string]struct {
		change func(*posture.StageObservation)
		// says is a part of the blocker; empty: Strict is entered.
		says string
	}{
		"nothing is in the way":        {change: func(*posture.StageObservation) {}},
		"a pod has no airlock":         {func(o *posture.StageObservation) { o.Pods[1].Injected = false }, "pod lis-1 has no airlock"},
		"a pod says nothing":           {func(o *posture.StageObservation) { o.Pods[0].Facts = posture.AirlockFacts{Failure: "refused"} }, "a try failed: refused"},
		"a report is old":              {func(o *posture.StageObservation) { o.Pods[0].Facts.ReportedAt = stageNow.Add(-16 * time.Minute) }, "no report of pod lis-0 (since 2026-11-23T11:44Z): look at"},
		"a pod has no certificate":     {func(o *posture.StageObservation) { o.Pods[0].Facts.Report.Identity = nil }, "has no certificate"},
		"a certificate has expired":    {func(o *posture.StageObservation) { o.Pods[0].Facts.Report.Identity.NotAfter = stageNow }, "has expired"},
		"a pod trusts nobody":          {func(o *posture.StageObservation) { o.Pods[0].Facts.Report.Bundles = nil }, "trusts nobody"},
		"a configuration is not used":  {func(o *posture.StageObservation) { o.Pods[0].Facts.Report.ConfigurationError = "no" }, "does not use its configuration: no"},
		"a listener is missing":        {func(o *posture.StageObservation) { o.Pods[0].Facts.Report.ListenErrors = []string{"in use"} }, "cannot listen: in use"},
		"somebody speaks plaintext":    {func(o *posture.StageObservation) { undeclared(&o.Pods[1], time.Hour) }, "10.9.9.9 speaks plaintext to port 2575"},
		"a week is not over":           {func(o *posture.StageObservation) { o.ObserveFor = 0 }, "for 168h"},
		"a client is not ready":        {func(o *posture.StageObservation) { o.Clients = []string{"client engine: pod x has no airlock"} }, "client engine"},
		"something else is wrong":      {func(o *posture.StageObservation) { o.Wrong = []string{"the issuer is wrong"} }, "the issuer is wrong"},
		"no policy would close a port": {func(o *posture.StageObservation) { o.NetworkEnforced = false }, "network.enforcement is Audit"},
		"connections of nobody":        {func(o *posture.StageObservation) { o.Pods[0].Facts.Report.Unattributed = 5 }, "before anybody saw"},
		"which a person accepts":       {change: func(o *posture.StageObservation) { o.Pods[0].Facts.Report.Unattributed, o.Acknowledged = 5, &accepted }},
		"and which are more":           {func(o *posture.StageObservation) { o.Pods[0].Facts.Report.Unattributed, o.Acknowledged = 6, &accepted }, "before anybody saw"},
		"a client without ports":       {change: func(o *posture.StageObservation) { o.Ports, o.ObservedSince = 0, time.Time{} }},
		"nothing runs":                 {func(o *posture.StageObservation) { o.Pods, o.ObservedSince = nil, time.Time{} }, "no pod runs"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			seen := ready()
			test.change(&seen)
			decided := posture.DecideStage(seen, stageNow)
			if entered := decided.Stage == v1alpha1.TransitStageStrict; entered != (test.says == "") {
				t.Errorf("stage %s, blockers %q", decided.Stage, decided.Blockers)
			}
			if !strings.Contains(strings.Join(decided.Blockers, "\n"), test.says) {
				t.Errorf("blockers %q do not say %q", decided.Blockers, test.says)
			}
			seen.InForce = v1alpha1.TransitStageStrict
			if again := posture.DecideStage(seen, stageNow); again.Stage != v1alpha1.TransitStageStrict {
				t.Errorf("Strict, once entered, became %s", again.Stage)
			}
		})
	}
}

func TestStagesGoBackAtOnce(t *testing.T) {
	for goal, want := range map[v1alpha1.TransitStage]v1alpha1.TransitStage{
		v1alpha1.TransitStageObserve: v1alpha1.TransitStageObserve, v1alpha1.TransitStagePermissive: v1alpha1.TransitStagePermissive, "": v1alpha1.TransitStagePermissive,
	} {
		seen := ready()
		seen.Goal, seen.InForce = goal, v1alpha1.TransitStageStrict
		if decided := posture.DecideStage(seen, stageNow); decided.Stage != want {
			t.Errorf("goal %q: %s, want %s", goal, decided.Stage, want)
		}
	}
}

func TestSinceWhenNobodyWasSeen(t *testing.T) {
	since := stageNow.Add(-20 * time.Hour)
	tests := map[string]struct {
		change func(*posture.StageObservation)
		want   time.Time
	}{
		"it counts on":  {func(*posture.StageObservation) {}, since},
		"it begins now": {func(o *posture.StageObservation) { o.ObservedSince = time.Time{} }, stageNow},
		"nobody has reported yet": {func(o *posture.StageObservation) {
			o.ObservedSince, o.Pods[1].Facts = time.Time{}, posture.AirlockFacts{Failure: "labguard has no identity"}
		}, time.Time{}},
		"a restart of labguard": {func(o *posture.StageObservation) {
			o.Pods[0].Facts, o.Pods[1].Facts = posture.AirlockFacts{}, posture.AirlockFacts{}
		}, since},
		"a pod without airlock":     {func(o *posture.StageObservation) { o.Pods[0].Injected = false }, time.Time{}},
		"a peer since":              {func(o *posture.StageObservation) { undeclared(&o.Pods[1], time.Hour) }, stageNow.Add(-time.Hour)},
		"a peer before":             {func(o *posture.StageObservation) { undeclared(&o.Pods[1], 21*time.Hour) }, since},
		"a clock that runs ahead":   {func(o *posture.StageObservation) { undeclared(&o.Pods[1], -time.Hour) }, stageNow},
		"no pod for a moment":       {func(o *posture.StageObservation) { o.Pods = nil }, since},
		"no pod from the beginning": {func(o *posture.StageObservation) { o.Pods, o.ObservedSince = nil, time.Time{} }, time.Time{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			seen := ready()
			seen.ObservedSince = since
			test.change(&seen)
			decided := posture.DecideStage(seen, stageNow)
			if !decided.ObservedSince.Equal(test.want) {
				t.Errorf("since %s, want %s", decided.ObservedSince, test.want)
			}
			if name == "it counts on" && !decided.NextChange.Equal(since.Add(24*time.Hour)) {
				t.Errorf("next change %s, want the end of the observation", decided.NextChange)
			}
		})
	}
}

func TestBlockersAreBounded(t *testing.T) {
	seen := ready()
	for i := range 40 {
		seen.Clients = append(seen.Clients, fmt.Sprintf("client %d %s", i, strings.Repeat("x", 600)))
	}
	decided := posture.DecideStage(seen, stageNow)
	if len(decided.Blockers) != 11 || decided.Blockers[10] != "and 30 more" || len(decided.Blockers[0]) > 512 {
		t.Errorf("%d blockers, the last %q", len(decided.Blockers), decided.Blockers[len(decided.Blockers)-1])
	}
}
