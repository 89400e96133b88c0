// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection

import (
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"

	"github.com/labguard/labguard/internal/desired/policy"
)

// Issuers gives the policy that keeps the issuers of labguard's identities for labguard's Certificates. It goes by the issuer that is named, since the expression language
// cannot read what a certificate request asks for. A Certificate that cert-manager makes of an Ingress or a Gateway is refused as well: what is in it, tenants
// have written. It holds in every namespace, as a ClusterIssuer serves every namespace.
func Issuers(c Config) policy.Validating {
	is := func(resource string) string { return "request.resource.resource == " + policy.Quote(resource) }
	spec := admissionac.ValidatingAdmissionPolicySpec().
		WithFailurePolicy(admissionv1.Fail).
		WithMatchConstraints(policy.Everywhere(
			policy.Rule(changes, "cert-manager.io", "v1", "certificates", "certificaterequests"),
			policy.Rule(changes, "certificates.k8s.io", "v1", "certificatesigningrequests", "certificatesigningrequests/approval"),
		)).
		WithMatchConditions(notCollected(), policy.Condition("protected", c.named())).
		WithValidations(
			policy.Forbid("!("+is("certificates")+") || "+c.isLabguard(),
				"this issuer is for labguard's own Certificates: use another issuer"),
			policy.Forbid("!("+is("certificaterequests")+") || ("+c.isCertManager()+
				" && (request.operation != 'CREATE' || object.metadata.?ownerReferences.orValue([]).exists(o, o.kind == 'Certificate' && o.apiVersion.startsWith('cert-manager.io/') && o.?controller.orValue(false))))",
				"this issuer is for labguard's own Certificates: a CertificateRequest of its own cannot name it"),
			policy.Forbid("!("+is("certificatesigningrequests")+")",
				"this issuer is for labguard's own Certificates: a CertificateSigningRequest cannot name it"),
		)
	return policy.Denying(IssuersName, c.Anchor, spec)
}

// named is true if the old or the new object names a protected issuer.
func (c Config) named() string {
	var cluster, namespaced, signers []string
	for _, issuer := range c.ProtectedIssuers {
		if issuer.Kind == "Issuer" {
			namespaced = append(namespaced, issuer.Namespace+"/"+issuer.Name)
			signers = append(signers, "issuers.cert-manager.io/"+issuer.Namespace+"."+issuer.Name)
			continue
		}
		cluster = append(cluster, issuer.Name)
		signers = append(signers, "clusterissuers.cert-manager.io/"+issuer.Name)
	}
	sorted := func(names []string) string {
		return policy.QuoteAll(slices.Compact(slices.Sorted(slices.Values(names))))
	}
	return `[object, oldObject].exists(o, o != null && (
  o.?spec.?signerName.orValue('') in ` + sorted(signers) + `
  || (o.?spec.?issuerRef.?group.orValue('cert-manager.io') in ['', 'cert-manager.io'] && (
    (o.?spec.?issuerRef.?kind.orValue('') == 'ClusterIssuer' && o.?spec.?issuerRef.?name.orValue('') in ` + sorted(cluster) + `)
    || (o.?spec.?issuerRef.?kind.orValue('') in ['', 'Issuer'] && (request.?namespace.orValue('') + '/' + o.?spec.?issuerRef.?name.orValue('')) in ` + sorted(namespaced) + `)))))`
}
