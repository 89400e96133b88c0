// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/posture"
)

// encrypted is a workload at Strict of which everything is shown.
func encrypted() posture.SidecarObservation {
	return posture.SidecarObservation{
		Certificate: posture.TransitObservation{
			Enforced: true, IssuerAllowed: true, Issuer: "ClusterIssuer lab-ca", CertManagerServed: true, Exists: true, Issued: true, NotAfter: stageNow.AddDate(0, 0, 11),
		},
		RenewalTime: stageNow.Add(time.Hour), Stage: v1alpha1.TransitStageStrict, Pods: []posture.AirlockPod{secured("lis-0")}, ClosedPorts: []int32{2575}, TrustDomain: "lab.example",
	}
}

func TestMutualTLSIsTrueOnlyWhereItIsShown(t *testing.T) {
	yes, no, unknown := metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	minute := stageNow.Add(-time.Minute)
	probe := func(change func(*posture.Probe)) func(*posture.SidecarObservation) {
		return func(o *posture.SidecarObservation) { change(&o.Pods[0].Facts.Probes[0]) }
	}
	said := func(change func(*report.Report)) func(*posture.SidecarObservation) {
		return func(o *posture.SidecarObservation) { change(&o.Pods[0].Facts.Report) }
	}
	tests := map[string]struct {
		change func(*posture.SidecarObservation)
		answer metav1.ConditionStatus
		reason string
	}{
		"everything is shown":       {func(*posture.SidecarObservation) {}, yes, v1alpha1.ReasonMutualTLS},
		"Audit":                     {func(o *posture.SidecarObservation) { o.Certificate.Enforced = false }, no, v1alpha1.ReasonAudit},
		"another issuer":            {func(o *posture.SidecarObservation) { o.Certificate.IssuerAllowed = false }, no, v1alpha1.ReasonIssuerNotAllowed},
		"no cert-manager":           {func(o *posture.SidecarObservation) { o.Certificate.CertManagerServed = false }, no, v1alpha1.ReasonCertManagerMissing},
		"an older workload":         {func(o *posture.SidecarObservation) { o.Overlaps = []string{"old"} }, no, v1alpha1.ReasonSelectorOverlap},
		"a full namespace":          {func(o *posture.SidecarObservation) { o.TooMany = true }, no, v1alpha1.ReasonTooManyWorkloads},
		"a mesh":                    {func(o *posture.SidecarObservation) { o.Mesh = []string{"lis-0"} }, no, v1alpha1.ReasonMeshPresent},
		"a name that is taken":      {func(o *posture.SidecarObservation) { o.NameTaken = []string{"Service lis-mtls"} }, no, v1alpha1.ReasonNameTaken},
		"an unknown authority":      {func(o *posture.SidecarObservation) { o.Unknown = []string{"external authority x"} }, no, v1alpha1.ReasonAuthorityUnknown},
		"an identity of ours":       {func(o *posture.SidecarObservation) { o.Refused = []string{"spiffe://lab.example/x"} }, no, v1alpha1.ReasonInvalidSpec},
		"stage Observe":             {func(o *posture.SidecarObservation) { o.Stage = v1alpha1.TransitStageObserve }, no, v1alpha1.ReasonObserving},
		"a certificate of others":   {func(o *posture.SidecarObservation) { o.CertificateRefused = "it does not chain" }, no, v1alpha1.ReasonNoTrust},
		"a pod without airlock":     {func(o *posture.SidecarObservation) { o.Pods[0].Injected = false }, no, v1alpha1.ReasonNotInjected},
		"an expired certificate":    {func(o *posture.SidecarObservation) { o.Certificate.NotAfter = stageNow }, no, v1alpha1.ReasonCertificateExpired},
		"a pod without certificate": {said(func(r *report.Report) { r.Identity = nil }), no, v1alpha1.ReasonNoIdentity},
		"a pod whose certificate is of another life": {func(o *posture.SidecarObservation) {
			o.RevokedBefore, o.Pods[0].Facts.Report.Identity.NotBefore = stageNow, stageNow.Add(-time.Second)
		}, no, v1alpha1.ReasonNoIdentity},
		"a pod whose certificate is of this life": {func(o *posture.SidecarObservation) {
			o.RevokedBefore, o.Pods[0].Facts.Report.Identity.NotBefore = stageNow, stageNow
		}, yes, v1alpha1.ReasonMutualTLS},
		"clients that are cut off": {func(o *posture.SidecarObservation) {
			o.CutOff = []string{"client lab/engine: pod engine-0 has no airlock"}
		}, yes, v1alpha1.ReasonMutualTLS},
		"a report of before the stage": {func(o *posture.SidecarObservation) { o.Configuration = "strict" }, unknown, v1alpha1.ReasonNoRecentProof},
		"a report of the stage": {func(o *posture.SidecarObservation) {
			o.Configuration, o.Pods[0].Facts.Report.Configuration = "strict", "strict"
		}, yes, v1alpha1.ReasonMutualTLS},
		"a pod that trusts nobody": {said(func(r *report.Report) { r.Bundles = nil }), no, v1alpha1.ReasonNoTrust},
		"an open port":             {probe(func(p *posture.Probe) { p.Reached = true }), no, v1alpha1.ReasonPlaintextReachable},
		"a policy that is not there": {func(o *posture.SidecarObservation) {
			o.NotClosed = posture.Verdict{Answer: no, Reason: v1alpha1.ReasonWaiting, Message: "it is being written"}
		}, no, v1alpha1.ReasonWaiting},
		"a policy of others":         {func(o *posture.SidecarObservation) { o.OpenedWider = []string{"allow-all"} }, no, v1alpha1.ReasonOpenedWider},
		"an upstream on our port":    {func(o *posture.SidecarObservation) { o.Conflicts = []string{"p/lis:2575"} }, no, v1alpha1.ReasonClientPathConflict},
		"a headless upstream":        {func(o *posture.SidecarObservation) { o.Headless = []string{"p/db"} }, no, v1alpha1.ReasonHeadlessUnsupported},
		"no redirect here":           {func(o *posture.SidecarObservation) { o.RedirectForbidden = true }, no, v1alpha1.ReasonRedirectForbidden},
		"a pod of before":            {func(o *posture.SidecarObservation) { o.Restart = []string{"lis-0"} }, no, v1alpha1.ReasonRestartNeeded},
		"an exception":               {func(o *posture.SidecarObservation) { o.Exceptions = []string{"10.0.0.0/24"} }, no, v1alpha1.ReasonPlaintextException},
		"a plaintext peer":           {func(o *posture.SidecarObservation) { undeclared(&o.Pods[0], time.Minute) }, no, v1alpha1.ReasonPlaintextSeen},
		"a plaintext peer of before": {func(o *posture.SidecarObservation) { undeclared(&o.Pods[0], 2*time.Hour) }, yes, v1alpha1.ReasonMutualTLS},
		"a fallback of ours":         {said(func(r *report.Report) { r.Upstreams = []report.Upstream{{Name: "u", LastPlaintext: &minute}} }), no, v1alpha1.ReasonPlaintextSeen},
		"stage Permissive":           {func(o *posture.SidecarObservation) { o.Stage = v1alpha1.TransitStagePermissive }, no, v1alpha1.ReasonPermissive},
		"connections of nobody": {func(o *posture.SidecarObservation) {
			o.Stage, o.Pods[0].Facts.Report.Unattributed = v1alpha1.TransitStagePermissive, 1
		}, no, v1alpha1.ReasonUnattributedConnections},
		"a renewal that is late": {func(o *posture.SidecarObservation) { o.RenewalTime = stageNow.Add(-12 * time.Hour) }, yes, v1alpha1.ReasonRenewalLate},
		"an old report":          {func(o *posture.SidecarObservation) { o.Pods[0].Facts.ReportedAt = stageNow.Add(-time.Hour) }, unknown, v1alpha1.ReasonNoRecentProof},
		"an old probe":           {probe(func(p *posture.Probe) { p.At = stageNow.Add(-time.Hour) }), unknown, v1alpha1.ReasonNoRecentProof},
		"a probe beside nothing": {probe(func(p *posture.Probe) { p.Control = false }), unknown, v1alpha1.ReasonNoRecentProof},
		"a second address":       {func(o *posture.SidecarObservation) { o.Pods[0].Addresses = []string{"10.1.0.1", "fd00::1"} }, unknown, v1alpha1.ReasonNoRecentProof},
		"no address yet":         {func(o *posture.SidecarObservation) { o.Pods[0].Addresses = nil }, unknown, v1alpha1.ReasonNoRecentProof},
		"an older configuration": {said(func(r *report.Report) { r.ConfigurationError = "no" }), unknown, v1alpha1.ReasonNoRecentProof},
		"nothing runs":           {func(o *posture.SidecarObservation) { o.Pods = nil }, unknown, v1alpha1.ReasonNoRecentProof},
		"probes of one node":     {probe(func(p *posture.Probe) { p.SameNode = true }), yes, v1alpha1.ReasonSingleVantage},
		"a client without ports": {func(o *posture.SidecarObservation) { o.ClosedPorts = nil }, yes, v1alpha1.ReasonMutualTLS},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			seen := encrypted()
			test.change(&seen)
			got := posture.JudgeSidecar(seen, stageNow)
			if got.Answer != test.answer || got.Reason != test.reason || got.Message == "" || len(got.Message) >= 300 {
				t.Errorf("%s/%s (%s), want %s/%s", got.Answer, got.Reason, got.Message, test.answer, test.reason)
			}
		})
	}
}

// An instant that moves with each probe would be written each minute, and one that is over would be looked at without a pause.
func TestTheEndOfAProofMovesOnceInAQuarter(t *testing.T) {
	start := stageNow.Truncate(posture.ProofStep)
	seen := map[time.Time]bool{}
	for age := time.Duration(0); age < posture.ProofLasts; age += time.Minute {
		ends := posture.ProofEnds(start, start.Add(age))
		if !ends.After(start.Add(age)) || ends.After(start.Add(posture.ProofLasts)) {
			t.Errorf("a probe %s ago: the proof ends at %s, the probe was made at %s", age, ends, start)
		}
		seen[posture.ProofEnds(start.Add(age), start.Add(age))] = true
	}
	if late := posture.ProofEnds(start.Add(14*time.Minute), start.Add(70*time.Minute)); !late.Equal(start.Add(75 * time.Minute)) {
		t.Errorf("%s, want what is still to come", late)
	}
	if len(seen) != 4 {
		t.Errorf("%d ends in an hour, want 4", len(seen))
	}
}

func TestAProofEndsByItself(t *testing.T) {
	seen := encrypted()
	if got := posture.JudgeSidecar(seen, stageNow); !got.NextChange.Equal(stageNow.Add(45 * time.Minute)) {
		t.Errorf("next change %s, want an hour after the quarter in which the probe was made", got.NextChange)
	}
	if got := posture.JudgeSidecar(seen, stageNow.Add(50*time.Minute)); got.Answer != metav1.ConditionUnknown {
		t.Errorf("an hour after the probe: %s/%s", got.Answer, got.Reason)
	}
}

// A renewal that does not come is said twice: half a day late, and when half of the time is gone.
func TestALateRenewalIsSaidTwice(t *testing.T) {
	seen := encrypted()
	seen.RenewalTime, seen.Certificate.NotAfter = stageNow.Add(-12*time.Hour), stageNow.Add(252*time.Hour)
	first := posture.JudgeSidecar(seen, stageNow)
	seen.RenewalTime, seen.Certificate.NotAfter = stageNow.Add(-132*time.Hour), stageNow.Add(132*time.Hour)
	second := posture.JudgeSidecar(seen, stageNow)
	if first.Reason != v1alpha1.ReasonRenewalLate || second.Reason != v1alpha1.ReasonRenewalLate || first.Message == second.Message {
		t.Errorf("first %q, then %q", first.Message, second.Message)
	}
}
