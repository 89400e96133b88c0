// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import "slices"

// Reason is why a request is let through or refused.
type Reason string

// Reasons for which a request is let through.
const (
	// ReasonBreakGlass: it comes from a member of the group of the emergency.
	ReasonBreakGlass Reason = "BreakGlass"
	// ReasonNeverAsked: it comes from the cluster itself.
	ReasonNeverAsked Reason = "NeverAsked"
	// ReasonNotRequired: nothing asks for anything.
	ReasonNotRequired Reason = "NotRequired"
	// ReasonListedMachine: the operator's configuration lists the account.
	ReasonListedMachine Reason = "ListedMachine"
	// ReasonProven: all that is asked for is proven.
	ReasonProven Reason = "Proven"
)

// Reasons for which a request is refused; under Audit, or where a rule only warns, it is let through with one of them. They stand in the order of the
// checks.
const (
	// ReasonNotConfigured: there is no policy yet.
	ReasonNotConfigured Reason = "NotConfigured"
	// ReasonInvalidRequest: it is no request that labguard knows.
	ReasonInvalidRequest Reason = "InvalidRequest"
	// ReasonContradictoryIdentity: the name is a machine's, and the claims or groups are not.
	ReasonContradictoryIdentity Reason = "ContradictoryIdentity"
	// ReasonUnlistedMachine: it comes from a machine that is not listed.
	ReasonUnlistedMachine Reason = "UnlistedMachine"
	// ReasonNoProvider: the cluster knows no identity provider, so nothing can be proven.
	ReasonNoProvider Reason = "NoProvider"
	// ReasonNoClaims: nothing says how the person has logged in.
	ReasonNoClaims Reason = "NoClaims"
	// ReasonIssuerUnknown: the claims are of an issuer that nobody has configured, of none, or of one that is configured twice.
	ReasonIssuerUnknown Reason = "IssuerUnknown"
	// ReasonProviderCannotProve: the provider cannot prove what is asked for.
	ReasonProviderCannotProve Reason = "ProviderCannotProve"
	// ReasonMethodsMissing: the login used none of the sets of methods that are asked for.
	ReasonMethodsMissing Reason = "MethodsMissing"
	// ReasonContextMissing: the login has none of the contexts that are asked for.
	ReasonContextMissing Reason = "ContextMissing"
	// ReasonLoginTimeUnknown: the time of the login is not told, cannot be read, or lies in the future.
	ReasonLoginTimeUnknown Reason = "LoginTimeUnknown"
	// ReasonLoginTooOld: the login is older than is asked for.
	ReasonLoginTooOld Reason = "LoginTooOld"
	// ReasonSubjectUnknown: the claims do not say, in a form that can be compared, who it is.
	ReasonSubjectUnknown Reason = "SubjectUnknown"
	// ReasonTrainingUnknown: the training records are not known.
	ReasonTrainingUnknown Reason = "TrainingUnknown"
	// ReasonTrainingMissing: a course is missing, or was too long ago.
	ReasonTrainingMissing Reason = "TrainingMissing"
)

// rank is the place of a reason in the order of the checks.
func (r Reason) rank() int {
	return slices.Index([]Reason{
		ReasonContradictoryIdentity, ReasonUnlistedMachine, ReasonNoProvider, ReasonNoClaims, ReasonIssuerUnknown, ReasonProviderCannotProve,
		ReasonMethodsMissing, ReasonContextMissing, ReasonLoginTimeUnknown, ReasonLoginTooOld, ReasonSubjectUnknown, ReasonTrainingUnknown, ReasonTrainingMissing,
	}, r)
}

// Keys of audit annotations, without the prefix that the API server puts in front.
const (
	// AnnotationDecision is allowed, refused, audited (would be refused under Enforce) or warned (let through without proof).
	AnnotationDecision = "decision"
	// AnnotationReason is the reason of the answer.
	AnnotationReason = "reason"
	// AnnotationCover is Access, Change, Posture, Token or Platform.
	AnnotationCover = "cover"
	// AnnotationKind is what sort of user it is.
	AnnotationKind = "kind"
	// AnnotationRequirements are LabWorkloads that asked for something, at most three and how many more.
	AnnotationRequirements = "requirements"
	// AnnotationAudited are the reasons for which LabWorkloads at Audit would refuse.
	AnnotationAudited = "audited"
	// AnnotationUnproven are the reasons for which something was let through without proof.
	AnnotationUnproven = "unproven"
	// AnnotationDryRun is there for a dry run.
	AnnotationDryRun = "dry-run"
)
