// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"

	"github.com/labguard/labguard/internal/desired/policy"
)

// Reserved gives the policy that keeps everybody but labguard from writing labguard's objects in governed namespaces, and from having its Secrets read by others than pods: by
// an Ingress, a Gateway or an Issuer that names one, or a Certificate that writes to one. Of pods see Readers. Labguard's are names that begin with labguard-, and what carries
// its label, as companion Services have names of their own. Certificates are not cert-manager's to write: it makes them of Ingresses that tenants write.
//
// The rules say who may write, never who asks: a request without a name (deletecollection) or an object that is on its way out must not become an
// error, which would keep a namespace from going away.
func Reserved(c Config) policy.Validating {
	is := func(resources ...string) string { return "request.resource.resource in " + policy.QuoteAll(resources) }
	spec := admissionac.ValidatingAdmissionPolicySpec().
		WithFailurePolicy(admissionv1.Fail).
		WithMatchConstraints(policy.Everywhere(
			policy.Rule(writes, "", "v1", "secrets", "configmaps", "services", "endpoints"),
			policy.Rule(writes, "networking.k8s.io", "v1", "networkpolicies"),
			policy.Rule(changes, "networking.k8s.io", "v1", "ingresses"),
			policy.Rule(changes, "gateway.networking.k8s.io", "v1", "gateways", "listenersets"),
			policy.Rule(writes, "discovery.k8s.io", "v1", "endpointslices"),
			policy.Rule(writes, "cert-manager.io", "v1", "certificates", "certificaterequests"),
			policy.Rule(updates, "cert-manager.io", "v1", "certificates/status", "certificaterequests/status"),
			policy.Rule(changes, "cert-manager.io", "v1", "issuers"),
		)).
		WithMatchConditions(c.governed(), policy.Condition("not-labguard", "!("+c.isLabguard()+")"), notCollected()).
		WithVariables(
			policy.Variable("status", "request.?subResource.orValue('') == 'status'"),
			policy.Variable("found", "[object, oldObject].filter(o, o != null)"),
			policy.Variable("ours", expression(`variables.found.exists(o, o.?metadata.?name.orValue('').startsWith('%PREFIX%')
  || o.?metadata.?labels[?'%MANAGED%'].orValue('') == '%LABGUARD%')`)),
			policy.Variable("companion", expression(`variables.found.exists(o, o.?metadata.?labels[?'kubernetes.io/service-name'].orValue('').endsWith('%SUFFIX%'))`)),
		).
		WithValidations(
			policy.Forbid("variables.status || !variables.ours"+
				" || ("+is("secrets", "certificaterequests")+" && "+c.isCertManager()+")"+
				" || ("+is("endpoints", "endpointslices")+" && "+userIn(endpointWriters)+")"+
				" || ("+is("services")+" && request.operation == 'UPDATE' && "+userIn(loadBalancers)+")",
				"names that begin with labguard-, and the label app.kubernetes.io/managed-by: labguard, are labguard's own in this namespace: choose another name"),
			policy.Forbid("!("+is("endpointslices")+") || !variables.companion || "+userIn(endpointWriters),
				"Services whose names end with -mtls are labguard's own in this namespace: nobody adds addresses to them"),
			policy.Forbid("!variables.status || !variables.ours || "+c.isCertManager()+" || "+onlyConditions,
				"of the status of labguard's own Certificates, and of requests for them, others than cert-manager change the conditions alone"),
			policy.Forbid("!("+is("secrets")+") || object == null || "+c.isCertManager()+" || !('cert-manager.io/next-private-key' in object.metadata.?labels.orValue({}))",
				"Secrets with the label cert-manager.io/next-private-key are cert-manager's own in this namespace: it would issue a certificate for the key that is in it"),
			policy.Forbid("!("+is("issuers")+") || object == null || "+issuerApart,
				"Secrets whose names begin with labguard- are labguard's own: no Issuer may use them"),
			policy.Forbid("!("+is("ingresses", "gateways", "listenersets", "services")+") || object == null || object.metadata.?annotations.orValue({}).all(k, !object.metadata.annotations[k].matches('"+identityPattern+"'))",
				"Secrets whose names begin with labguard- are labguard's own: no annotation may name one"),
			policy.Forbid(expression("variables.status || !("+is("certificates")+") || object == null || !dyn(object).?spec.?secretName.orValue('').startsWith('%PREFIX%')"),
				"Secrets whose names begin with labguard- are labguard's own: choose another secretName"),
			policy.Forbid(expression("!("+is("ingresses")+") || object == null || dyn(object).?spec.?tls.orValue([]).all(t, !t.?secretName.orValue('').startsWith('%PREFIX%'))"),
				"Secrets whose names begin with labguard- are labguard's own: no Ingress may serve them"),
			policy.Forbid(expression("!("+is("gateways")+") || object == null || !dyn(object).?spec.?tls.?backend.?clientCertificateRef.?name.orValue('').startsWith('%PREFIX%')"),
				"Secrets whose names begin with labguard- are labguard's own: no Gateway may show them"),
			policy.Forbid(expression("!("+is("gateways", "listenersets")+") || object == null || dyn(object).?spec.?listeners.orValue([]).all(l, l.?tls.?certificateRefs.orValue([]).all(r, !r.?name.orValue('').startsWith('%PREFIX%')))"),
				"Secrets whose names begin with labguard- are labguard's own: no Gateway may serve them"),
		)
	return policy.Denying(ReservedName, c.Anchor, spec)
}

// onlyConditions is true if nothing of the status changes but its conditions: cmctl renew sets one, and approvers do. With a key that is named in the status cert-manager would issue the
// next certificate.
const onlyConditions = `(dyn(object).?status.orValue({}).all(k, k == 'conditions' || dyn(object).status[?k] == dyn(oldObject).?status[?k])
  && dyn(oldObject).?status.orValue({}).all(k, k == 'conditions' || dyn(object).?status[?k] == dyn(oldObject).status[?k]))`

// identityPattern finds the name of a Secret of an identity in a text.
const identityPattern = `(^|[^a-z0-9.-])labguard-[a-z0-9.-]+-identity-[0-9a-z]`

// issuerApart is true if an Issuer uses nothing of labguard's: cert-manager would send what is in a Secret to the server that the Issuer names. These are all references of
// cert-manager 1.21 (issuers of the kind ClusterIssuer are not a tenant's).
var issuerApart = func() string {
	const name = `.?name.orValue('').startsWith('%PREFIX%')`
	of := func(from string, paths ...string) string {
		refused := make([]string, 0, len(paths))
		for _, path := range paths {
			refused = append(refused, "!"+from+path+name)
		}
		return strings.Join(refused, " && ")
	}
	spec := "dyn(object).?spec"
	return expression("!" + spec + ".?ca.?secretName.orValue('').startsWith('%PREFIX%') && !" + spec + ".?vault.?auth.?clientCertificate.?secretName.orValue('').startsWith('%PREFIX%') && " +
		of(spec, ".?vault.?auth.?tokenSecretRef", ".?vault.?auth.?appRole.?secretRef", ".?vault.?auth.?kubernetes.?secretRef", ".?vault.?caBundleSecretRef",
			".?vault.?clientCertSecretRef", ".?vault.?clientKeySecretRef", ".?venafi.?tpp.?credentialsRef", ".?venafi.?tpp.?caBundleSecretRef", ".?venafi.?cloud.?apiTokenSecretRef", ".?venafi.?ngts.?credentialsRef",
			".?acme.?privateKeySecretRef", ".?acme.?externalAccountBinding.?keySecretRef") + ` && ` + spec + `.?acme.?solvers.orValue([]).all(s, ` +
		of("s.?dns01", ".?akamai.?clientTokenSecretRef", ".?akamai.?clientSecretSecretRef", ".?akamai.?accessTokenSecretRef", ".?azureDNS.?clientSecretSecretRef",
			".?cloudDNS.?serviceAccountSecretRef", ".?cloudflare.?apiKeySecretRef", ".?cloudflare.?apiTokenSecretRef", ".?digitalocean.?tokenSecretRef",
			".?acmeDNS.?accountSecretRef", ".?rfc2136.?tsigSecretSecretRef", ".?route53.?accessKeyIDSecretRef", ".?route53.?secretAccessKeySecretRef") + `)`)
}()

// Profiles gives the policy that lets labguard alone write AirlockProfiles, in every namespace, and nobody delete their kind by accident: pods come
// back without a sidecar, or not at all, once it is gone. The expression language cannot count profiles; an administrator who means it sets
// AllowDeletionAnnotation first. An uninstall takes this policy away before it comes to the kind.
func Profiles(c Config) policy.Validating {
	spec := admissionac.ValidatingAdmissionPolicySpec().
		WithFailurePolicy(admissionv1.Fail).
		WithMatchConstraints(policy.Everywhere(
			policy.Rule(writes, "labguard.dev", "*", "airlockprofiles"),
			policy.Rule([]admissionv1.OperationType{admissionv1.Delete}, "apiextensions.k8s.io", "v1", "customresourcedefinitions"),
		)).
		WithMatchConditions(policy.Condition("not-labguard", "!("+c.isLabguard()+")"), notCollected()).
		WithValidations(
			policy.Forbid("request.resource.resource != 'airlockprofiles'",
				"labguard alone writes AirlockProfiles: change the LabWorkload"),
			policy.Forbid("request.resource.resource != 'customresourcedefinitions' || oldObject == null || oldObject.metadata.name != "+policy.Quote(ProfileDefinition)+
				" || oldObject.metadata.?annotations[?"+policy.Quote(AllowDeletionAnnotation)+"].orValue('') == 'true'",
				"without AirlockProfiles no pod of a governed namespace can start: remove labguard first, or set the annotation "+AllowDeletionAnnotation+": \"true\" on the definition"),
		)
	return policy.Denying(ProfilesName, c.Anchor, spec)
}
