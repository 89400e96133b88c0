// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"cmp"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

// ProofLasts is how long it counts that claims were seen to arrive.
const ProofLasts = 24 * time.Hour

// Reasons of the condition MFAEnforced.
const (
	// VerdictEnforced: recent multi-factor logins are asked for, and claims are seen to arrive.
	VerdictEnforced = v1alpha1.ReasonEnforced
	// VerdictAccessOnly: changes of what runs are not asked about, so that who may change a pod needs no login to get in.
	VerdictAccessOnly = v1alpha1.ReasonAccessOnly
	// VerdictGitPathNotProven: what Git weakens takes effect without a person's approval.
	VerdictGitPathNotProven = v1alpha1.ReasonGitPathNotProven
	// VerdictAudit: nothing is enforced.
	VerdictAudit = v1alpha1.ReasonAudit
	// VerdictAccessOpen: the way into pods is not asked about.
	VerdictAccessOpen = v1alpha1.ReasonAccessOpen
	// VerdictMachineIdentityClaimable: somebody can become a listed machine.
	VerdictMachineIdentityClaimable = v1alpha1.ReasonMachineIdentityClaimable
	// VerdictClaimsForgeable: somebody can give themselves claims, or the groups and names for which nobody is asked.
	VerdictClaimsForgeable = v1alpha1.ReasonClaimsForgeable
	// VerdictNodesProxy: somebody can reach pods through the proxy of nodes, which admission does not see.
	VerdictNodesProxy = v1alpha1.ReasonNodesProxy
	// VerdictRightsUnknown: nobody has looked yet who holds which rights, or what was seen is too old.
	VerdictRightsUnknown = v1alpha1.ReasonRightsUnknown
	// VerdictWebhookNotAnswering: the webhook was not seen to answer.
	VerdictWebhookNotAnswering = v1alpha1.ReasonWebhookNotAnswering
	// VerdictBreakGlassOpen: a use of break glass is not acknowledged.
	VerdictBreakGlassOpen = v1alpha1.ReasonBreakGlassOpen
	// VerdictProviderCannotProve: a provider, or the lack of one, lets people in without proof.
	VerdictProviderCannotProve = v1alpha1.ReasonProviderCannotProve
	// VerdictNoClaims: claims of a configured issuer were never seen to arrive.
	VerdictNoClaims = v1alpha1.ReasonNoClaims
	// VerdictNoRecentProof: they were not seen for 24 hours.
	VerdictNoRecentProof = v1alpha1.ReasonNoRecentProof
)

// Proof is that claims of an issuer were seen to arrive: in a request that admission saw.
type Proof struct {
	At     time.Time
	Issuer string
}

// Finding is a right that somebody holds and that may undo what is enforced.
type Finding struct {
	// Reason is what it allows.
	Reason string
	// Who names the holder, for the message.
	Who string
}

// reported are findings that are told elsewhere and decide nothing here: reading is not admitted at all, whoever may escalate has to write objects to do so
// (where no webhook sees them, which is cluster-wide and in namespaces of machines, that is MachineIdentityClaimable too), and a cluster-admin always can.
func reported() []string {
	return []string{v1alpha1.ReasonSecretsReadable, v1alpha1.ReasonRolesEscalatable, v1alpha1.ReasonClusterAdmin}
}

// Decides says whether findings of a reason keep MFAEnforced from being True.
func Decides(reason string) bool { return !slices.Contains(reported(), reason) }

// Observation is what was seen of the multi-factor logins that one LabWorkload asks for. The zero value shows nothing.
type Observation struct {
	// Rule is what the LabWorkload asks for, and Enforced says that it is enforced.
	Rule     Rule
	Enforced bool
	// Providers are those of the cluster.
	Providers []Provider
	// Proofs are the newest of each issuer.
	Proofs []Proof
	// WebhookAnswers says that the webhook that decides was seen to answer.
	WebhookAnswers bool
	// RightsKnown says that Findings are the result of a look at the rights of the whole cluster.
	RightsKnown bool
	Findings    []Finding
	// BreakGlassUses are uses that nobody has acknowledged.
	BreakGlassUses []string
	// GitTrusted says that what Git weakens takes effect by itself.
	GitTrusted bool
}

// Judge answers MFAEnforced. What is certainly wrong comes first, then what is not known; True needs all of it.
func Judge(seen Observation, now time.Time) posture.Verdict {
	for _, judge := range []func(*Observation, time.Time) (posture.Verdict, bool){judgeSpec, judgeRights, judgeWorking, judgeProviders, judgeProof} {
		if verdict, decided := judge(&seen, now); decided {
			return verdict
		}
	}
	newest := newestProof(&seen, now)
	verdict := posture.Phrase(metav1.ConditionTrue, VerdictEnforced, "a person gets in, and changes what runs, with a recent multi-factor login; reads (logs, get) are not covered")
	switch {
	case !covered(seen.Rule.Covers, Change):
		verdict = posture.Phrase(metav1.ConditionTrue, VerdictAccessOnly,
			"a person gets in with a recent multi-factor login, and changes what runs without one: add Change to mfa.covers; reads (logs, get) are not covered")
	case seen.GitTrusted:
		verdict = posture.Phrase(metav1.ConditionTrue, VerdictGitPathNotProven,
			"a person gets in with a recent multi-factor login; who pushes to Git weakens without one, as a listed machine applies it; reads (logs, get) are not covered")
	}
	verdict.NextChange = newest.At.Add(ProofLasts)
	return verdict
}

func judgeSpec(seen *Observation, _ time.Time) (posture.Verdict, bool) {
	switch {
	case !seen.Enforced:
		return posture.Phrase(metav1.ConditionFalse, VerdictAudit, "nobody is refused, since mfa is at Audit; audit annotations say who would be"), true
	case !covered(seen.Rule.Covers, Access):
		return posture.Phrase(metav1.ConditionFalse, VerdictAccessOpen, "kubectl exec and its like are not asked about: add Access to mfa.covers"), true
	default:
		return posture.Verdict{}, false
	}
}

// judgeRights looks who may go around. A listed machine that somebody can become is a way in without a login; who may forge claims has to be trusted, which
// nobody can know here. A finding of a kind that this code does not know counts as one of those.
func judgeRights(seen *Observation, _ time.Time) (posture.Verdict, bool) {
	holders := map[string][]string{}
	for _, finding := range seen.Findings {
		if Decides(finding.Reason) {
			holders[finding.Reason] = append(holders[finding.Reason], finding.Who)
		}
	}
	if who := holders[VerdictMachineIdentityClaimable]; len(who) > 0 {
		return posture.Phrase(metav1.ConditionFalse, VerdictMachineIdentityClaimable, "%s can become a machine that is listed, a node or labguard itself: take the right away, or list another machine", who), true
	}
	if !seen.RightsKnown {
		return posture.Phrase(metav1.ConditionUnknown, VerdictRightsUnknown, "labguard does not know who may forge claims or become a machine: it has not read RBAC yet, or hears no more of its changes"), true
	}
	for _, reason := range append([]string{VerdictClaimsForgeable, VerdictNodesProxy}, slices.Sorted(maps.Keys(holders))...) {
		who := holders[reason]
		switch {
		case len(who) == 0:
		case reason == VerdictNodesProxy:
			return posture.Phrase(metav1.ConditionUnknown, reason, "%s can reach pods through nodes/proxy, which no admission sees: take the right away, or list the holder as trusted", who), true
		case reason == VerdictClaimsForgeable:
			return posture.Phrase(metav1.ConditionUnknown, reason, "%s can impersonate others together with their login: take the right away, or list the holder as trusted", who), true
		default:
			return posture.Phrase(metav1.ConditionUnknown, cmp.Or(reason, VerdictRightsUnknown), "%s holds a right that may undo what is enforced: take it away, or list the holder as trusted", who), true
		}
	}
	return posture.Verdict{}, false
}

func judgeWorking(seen *Observation, _ time.Time) (posture.Verdict, bool) {
	switch {
	case !seen.WebhookAnswers:
		return posture.Phrase(metav1.ConditionUnknown, VerdictWebhookNotAnswering, "labguard's webhook was not seen to answer"), true
	case len(seen.BreakGlassUses) > 0:
		return posture.Phrase(metav1.ConditionUnknown, VerdictBreakGlassOpen, "break glass was used by %s: look at what was done, then acknowledge it", seen.BreakGlassUses), true
	default:
		return posture.Verdict{}, false
	}
}

// judgeProviders looks whether somebody gets in without proof because nobody can ask for it. Under Deny nobody does.
func judgeProviders(seen *Observation, _ time.Time) (posture.Verdict, bool) {
	if len(seen.Providers) == 0 {
		return posture.Phrase(metav1.ConditionUnknown, VerdictNoClaims, "the cluster knows no IdentityProvider, so that no login can be told from another: let the platform team configure one"), true
	}
	if seen.Rule.OnUnproven != UnprovenWarn {
		return posture.Verdict{}, false
	}
	var weak []string
	for _, provider := range seen.Providers {
		if !provider.proves(&seen.Rule) {
			weak = append(weak, provider.Issuer)
		}
	}
	if len(weak) == 0 {
		return posture.Verdict{}, false
	}
	return posture.Phrase(metav1.ConditionUnknown, VerdictProviderCannotProve,
		"%s cannot prove what mfa asks for, and onUnproven: Warn lets its people in: use another provider, or set Deny", weak), true
}

func judgeProof(seen *Observation, now time.Time) (posture.Verdict, bool) {
	newest := newestProof(seen, now)
	switch {
	case newest.At.IsZero():
		return posture.Phrase(metav1.ConditionUnknown, VerdictNoClaims,
			"claims of a configured issuer were never seen to arrive: check the API server's AuthenticationConfiguration, and log in"), true
	case now.Sub(newest.At) >= ProofLasts:
		return posture.Phrase(metav1.ConditionUnknown, VerdictNoRecentProof,
			"claims were not seen to arrive for 24 hours: log in and write something, as with --dry-run=server"), true
	default:
		return posture.Verdict{}, false
	}
}

// newestProof is the newest of an issuer that is configured once and proves what is asked for. One of the future is none: whoever noted it has another
// clock.
func newestProof(seen *Observation, now time.Time) Proof {
	proves := map[string]bool{}
	for _, provider := range seen.Providers {
		_, twice := proves[provider.Issuer]
		proves[provider.Issuer] = !twice && provider.Issuer != "" && provider.proves(&seen.Rule)
	}
	var newest Proof
	for _, proof := range seen.Proofs {
		if proves[proof.Issuer] && !proof.At.After(now.Add(clockSkew)) && proof.At.After(newest.At) {
			newest = proof
		}
	}
	return newest
}
