// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/policy"
)

// BreakGlassName is the name of the policy that keeps records of uses of break glass, and of its binding.
const BreakGlassName = "labguard-break-glass"

// unchanged is true if a write changes nothing but the acknowledgement. What labguard finds a record by, and what would have it deleted or kept for ever,
// is in its metadata.
const unchanged = `['user', 'first', 'last', 'count', 'requests'].all(f, dyn(object).spec[?f] == dyn(oldObject).spec[?f])
  && ['labels', 'annotations', 'ownerReferences', 'finalizers'].all(f, dyn(object).metadata[?f] == dyn(oldObject).metadata[?f])`

// BreakGlass gives the policy that lets labguard alone write BreakGlassUses, in every namespace, but for the acknowledgement. Who may use break glass can
// hide no use of it, and nobody answers for their own. Whether the login of whoever acknowledges is good enough is for the webhook.
func BreakGlass(config Config) policy.Validating {
	acknowledgement := func(object string) string { return object + ".spec.?acknowledgement" }
	// A write that acknowledges nothing, as a migration of what is stored does, is nobody's answer for anything.
	answered := "request.operation != 'UPDATE' || " + acknowledgement("object") + " == " + acknowledgement("oldObject") + " || "
	spec := admissionac.ValidatingAdmissionPolicySpec().
		WithFailurePolicy(admissionv1.Fail).
		WithMatchConstraints(policy.Everywhere(policy.Rule(
			[]admissionv1.OperationType{admissionv1.Create, admissionv1.Update, admissionv1.Delete}, v1alpha1.GroupVersion.Group, "*", "breakglassuses"))).
		WithMatchConditions(
			policy.Condition("not-labguard", username+" != "+policy.Quote(config.LabguardUser)),
			policy.Condition("not-collected", "!("+username+" in "+policy.QuoteAll(collectors)+")"),
		).
		WithValidations(
			policy.Forbid("request.operation == 'UPDATE'",
				"labguard alone records uses of break glass, and deletes what was acknowledged long ago: to acknowledge one, see kubectl labguard break-glass"),
			policy.Forbid("request.operation != 'UPDATE' || ("+unchanged+")",
				"only the acknowledgement of a use of break glass can be written: labguard alone says who used it, when and for what"),
			policy.Forbid("request.operation != 'UPDATE' || "+acknowledgement("oldObject")+" == optional.none() || "+
				acknowledgement("object")+" == "+acknowledgement("oldObject"),
				"an acknowledgement stays as it was written"),
			policy.Forbid(answered+acknowledgement("object")+".?by.orValue('') == "+username,
				"acknowledgement.by has to be the user name of whoever writes it; kubectl auth whoami says it"),
			policy.Forbid(answered+"oldObject.spec.user != "+username+" && !("+config.breakGlassMember()+")",
				"whoever uses break glass, or could, does not acknowledge its use: have it done by somebody else"),
			policy.Forbid(answered+"!"+username+".startsWith('system:') && "+config.shows(),
				"a person acknowledges, with a login at an identity provider: client certificates and ServiceAccounts say nothing about a login"),
			policy.Forbid(answered+"authorizer.group('"+v1alpha1.GroupVersion.Group+"').resource('breakglassuses')"+
				".namespace(request.namespace).name(request.name).check('"+v1alpha1.AcknowledgeVerb+"').allowed()",
				"to acknowledge a use of break glass needs the verb "+v1alpha1.AcknowledgeVerb+" on breakglassuses.labguard.dev in this namespace"),
		)
	return policy.Denying(BreakGlassName, config.Anchor, spec)
}
