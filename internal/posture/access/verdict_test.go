// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/internal/posture/access"
	"github.com/labguard/labguard/internal/posture/rights"
)

// observed is a LabWorkload of which everything is shown, changed.
func observed(change ...func(*access.Observation)) access.Observation {
	seen := access.Observation{
		Rule: access.Rule{MaxAge: 12 * time.Hour}, Enforced: true, Providers: settings().Providers[:1], Proofs: []access.Proof{{At: now.Add(-time.Hour), Issuer: idp}},
		WebhookAnswers: true, RightsKnown: true,
	}
	for _, each := range change {
		each(&seen)
	}
	return seen
}

func found(reason, who string) func(*access.Observation) {
	return func(o *access.Observation) { o.Findings = append(o.Findings, access.Finding{Reason: reason, Who: who}) }
}

func proofs(list ...access.Proof) func(*access.Observation) {
	return func(o *access.Observation) { o.Proofs = list }
}

func TestMFAEnforcedSaysTrueOnlyOfWhatIsShown(t *testing.T) {
	t.Parallel()
	yes, no, unknown := metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	warns := func(o *access.Observation) { o.Rule.OnUnproven = access.UnprovenWarn }
	withGoogle := func(o *access.Observation) { o.Providers = append(o.Providers[:1:1], access.Provider{Issuer: google}) }
	accessOnly := func(o *access.Observation) { o.Rule.Covers = []access.Cover{access.Access} }
	for name, test := range map[string]struct {
		seen   access.Observation
		answer metav1.ConditionStatus
		reason string
		says   string
	}{
		"nothing was seen":            {access.Observation{}, no, access.VerdictAudit, "at Audit"},
		"everything is shown":         {observed(), yes, access.VerdictEnforced, "reads (logs, get) are not covered"},
		"at Audit":                    {observed(func(o *access.Observation) { o.Enforced = false }), no, access.VerdictAudit, ""},
		"changes are not asked about": {observed(accessOnly), yes, access.VerdictAccessOnly, "add Change to mfa.covers"},
		"access is not asked about":   {observed(func(o *access.Observation) { o.Rule.Covers = []access.Cover{access.Change} }), no, access.VerdictAccessOpen, "add Access"},
		"a machine can be claimed": {
			observed(found(access.VerdictMachineIdentityClaimable, "User eve by edit in flux-system")), no, access.VerdictMachineIdentityClaimable, "User eve by edit in flux-system can become a machine",
		},
		"that a machine can be claimed is certain even before all rights are read": {
			observed(found(access.VerdictMachineIdentityClaimable, "User eve"), func(o *access.Observation) { o.RightsKnown = false }), no, access.VerdictMachineIdentityClaimable, "",
		},
		"somebody may impersonate with claims":                     {observed(found(access.VerdictClaimsForgeable, "Group sre")), unknown, access.VerdictClaimsForgeable, "Group sre can impersonate"},
		"somebody holds nodes/proxy":                               {observed(found(access.VerdictNodesProxy, "User mon")), unknown, access.VerdictNodesProxy, "which no admission sees"},
		"forged claims come before nodes/proxy":                    {observed(found(access.VerdictNodesProxy, "User mon"), found(access.VerdictClaimsForgeable, "Group sre")), unknown, access.VerdictClaimsForgeable, ""},
		"a finding that nobody has heard of":                       {observed(found("Teleportation", "User q")), unknown, "Teleportation", "User q holds a right"},
		"a cluster-admin always can":                               {observed(found("ClusterAdmin", "Group system:masters")), yes, access.VerdictEnforced, ""},
		"who reads Secrets is told elsewhere":                      {observed(found("SecretsReadable", "User a"), found("RolesEscalatable", "User b")), yes, access.VerdictEnforced, ""},
		"the rights were not read":                                 {observed(func(o *access.Observation) { o.RightsKnown = false }), unknown, access.VerdictRightsUnknown, ""},
		"the webhook does not answer":                              {observed(func(o *access.Observation) { o.WebhookAnswers = false }), unknown, access.VerdictWebhookNotAnswering, ""},
		"break glass was used":                                     {observed(func(o *access.Observation) { o.BreakGlassUses = []string{"User night"} }), unknown, access.VerdictBreakGlassOpen, "by User night"},
		"there is no provider":                                     {observed(func(o *access.Observation) { o.Providers = nil }), unknown, access.VerdictNoClaims, "IdentityProvider"},
		"claims were never seen":                                   {observed(proofs()), unknown, access.VerdictNoClaims, "AuthenticationConfiguration"},
		"claims were seen a day ago":                               {observed(proofs(access.Proof{At: now.Add(-24 * time.Hour), Issuer: idp})), unknown, access.VerdictNoRecentProof, "24 hours"},
		"claims were seen nearly a day ago":                        {observed(proofs(access.Proof{At: now.Add(time.Second - 24*time.Hour), Issuer: idp})), yes, access.VerdictEnforced, ""},
		"the newest proof counts":                                  {observed(proofs(access.Proof{At: now.Add(-time.Hour), Issuer: idp}, access.Proof{At: now.Add(-48 * time.Hour), Issuer: idp})), yes, access.VerdictEnforced, ""},
		"a proof of tomorrow is none":                              {observed(proofs(access.Proof{At: now.Add(24 * time.Hour), Issuer: idp})), unknown, access.VerdictNoClaims, ""},
		"a proof of an issuer that is not configured":              {observed(proofs(access.Proof{At: now, Issuer: ci})), unknown, access.VerdictNoClaims, ""},
		"a proof of no issuer":                                     {observed(proofs(access.Proof{At: now}), func(o *access.Observation) { o.Providers = append(o.Providers[:1:1], access.Provider{}) }), unknown, access.VerdictNoClaims, ""},
		"an issuer that is configured twice":                       {observed(func(o *access.Observation) { o.Providers = append(o.Providers[:1:1], o.Providers[0]) }), unknown, access.VerdictNoClaims, ""},
		"claims of a provider that proves nothing":                 {observed(withGoogle, proofs(access.Proof{At: now, Issuer: google})), unknown, access.VerdictNoClaims, ""},
		"a provider that proves nothing lets people in under Warn": {observed(withGoogle, warns), unknown, access.VerdictProviderCannotProve, google + " cannot prove"},
		"a provider that proves nothing refuses people under Deny": {observed(withGoogle), yes, access.VerdictEnforced, ""},
		"Warn where every provider proves":                         {observed(warns), yes, access.VerdictEnforced, ""},
		"Git is trusted":                                           {observed(func(o *access.Observation) { o.GitTrusted = true }), yes, access.VerdictGitPathNotProven, "pushes to Git"},
		"the weaker of two words comes first":                      {observed(accessOnly, func(o *access.Observation) { o.GitTrusted = true }), yes, access.VerdictAccessOnly, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := access.Judge(test.seen, now)
			if got.Status() != test.answer || got.Reason != test.reason || !strings.Contains(got.Message, test.says) {
				t.Errorf("%s %s: %s, want %s %s: %q", got.Status(), got.Reason, got.Message, test.answer, test.reason, test.says)
			}
		})
	}
}

func TestMFAEnforcedChangesWhenTheProofIsADayOld(t *testing.T) {
	t.Parallel()
	if got, want := access.Judge(observed(), now).NextChange, now.Add(23*time.Hour); !got.Equal(want) {
		t.Errorf("the next change is at %s, want %s", got, want)
	}
}

// The search for rights and the verdict have to speak of the same reasons: one that the verdict does not know would be worded as a right of no name.
func TestMFAEnforcedKnowsEveryReasonOfTheSearchForRights(t *testing.T) {
	t.Parallel()
	answers := map[rights.Reason]metav1.ConditionStatus{
		rights.ClusterAdmin: metav1.ConditionTrue, rights.RolesEscalatable: metav1.ConditionTrue, rights.SecretsReadable: metav1.ConditionTrue,
		rights.ClaimsForgeable: metav1.ConditionUnknown, rights.NodesProxy: metav1.ConditionUnknown, rights.MachineIdentityClaimable: metav1.ConditionFalse,
	}
	for _, reason := range rights.Reasons() {
		want, known := answers[reason]
		got := access.Judge(observed(found(string(reason), "User eve")), now)
		if !known || got.Status() != want || strings.Contains(got.Message, "may undo what is enforced") {
			t.Errorf("%s is %s: %s, want %s", reason, got.Status(), got.Message, want)
		}
		if got.Status() != metav1.ConditionTrue && got.Reason != string(reason) {
			t.Errorf("%s gives the reason %s", reason, got.Reason)
		}
	}
}
