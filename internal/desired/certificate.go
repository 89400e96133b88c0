// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager"
	cmv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmv1ac "github.com/cert-manager/cert-manager/pkg/client/applyconfigurations/certmanager/v1"
	cmmetav1ac "github.com/cert-manager/cert-manager/pkg/client/applyconfigurations/meta/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
)

const (
	// certificateLifetime and certificateRenewBefore give a new certificate every three days, with eleven days left to mend an issuer.
	certificateLifetime    = 336 * time.Hour
	certificateRenewBefore = 264 * time.Hour
	// certificateKeySize is that of ECDSA P-256.
	certificateKeySize = 256
	// certificateRevisions keeps the CertificateRequests of about nine days, for whoever looks into a failed renewal.
	certificateRevisions = 3
)

// Certificate is the cert-manager Certificate that lw wants, as a whole intent for server-side apply. It is nil if lw does not speak of
// encryption in transit, or is being deleted. Whether the issuer may be used is not decided here.
//
// It carries exactly one URI, the SPIFFE ID of lw, and no common name; for the provider Application also the DNS names of the Services
// that the spec names, since clients of an application check host names. With provider Sidecar the certificate is another one (IdentityCertificate).
func Certificate(lw *v1alpha1.LabWorkload, cluster Cluster) *cmv1ac.CertificateApplyConfiguration {
	if lw.DeletionTimestamp != nil || lw.Spec.Encryption == nil || lw.Spec.Encryption.InTransit == nil {
		return nil
	}
	transit := lw.Spec.Encryption.InTransit
	if transit.Provider == v1alpha1.TransitProviderSidecar {
		return nil
	}
	spec := certificateSpec(lw, cluster).WithSecretName(SecretName(lw))
	if transit.Certificate != nil {
		spec.WithDNSNames(dnsNames(lw.Namespace, transit.Certificate.Services, cluster.ClusterDomain)...)
	}
	return cmv1ac.Certificate(ChildName(lw.Name), lw.Namespace).
		WithLabels(childLabels(lw)).
		WithOwnerReferences(owner(lw)).
		WithSpec(spec)
}

// IdentityCertificate is the Certificate of the sidecar of lw, which puts its key into a Secret of labguard's own. It carries the SPIFFE ID and
// no DNS name: sidecars know each other by their SPIFFE IDs alone. It belongs to the profile of the sidecar, which outlives lw while pods need it.
func IdentityCertificate(lw *v1alpha1.LabWorkload, cluster Cluster, secret string, profile *v1alpha1.AirlockProfile) *cmv1ac.CertificateApplyConfiguration {
	return cmv1ac.Certificate(IdentityName(lw.Name), lw.Namespace).
		WithLabels(childLabels(lw)).
		WithOwnerReferences(OwnedByProfile(profile)).
		WithSpec(certificateSpec(lw, cluster).WithSecretName(secret))
}

// IdentityName is the name of the Certificate of the sidecar of a LabWorkload.
func IdentityName(labWorkload string) string {
	const suffix = "-identity"
	return shorten(ChildName(labWorkload), maxName-len(suffix)) + suffix
}

func certificateSpec(lw *v1alpha1.LabWorkload, cluster Cluster) *cmv1ac.CertificateSpecApplyConfiguration {
	transit := lw.Spec.Encryption.InTransit
	return cmv1ac.CertificateSpec().
		WithIssuerRef(cmmetav1ac.IssuerReference().
			WithGroup(certmanager.GroupName).
			WithKind(string(cmp.Or(transit.IssuerRef.Kind, v1alpha1.IssuerKindClusterIssuer))).
			WithName(transit.IssuerRef.Name)).
		WithURIs(SPIFFEID(lw, cluster.TrustDomain)).
		WithDuration(metav1.Duration{Duration: certificateLifetime}).
		WithRenewBefore(metav1.Duration{Duration: certificateRenewBefore}).
		WithPrivateKey(cmv1ac.CertificatePrivateKey().
			WithAlgorithm(cmv1.ECDSAKeyAlgorithm).
			WithSize(certificateKeySize).
			WithEncoding(cmv1.PKCS8). // What Java, Python and Go all read.
			WithRotationPolicy(cmv1.RotationPolicyAlways)).
		WithUsages(cmv1.UsageDigitalSignature, cmv1.UsageServerAuth, cmv1.UsageClientAuth).
		WithRevisionHistoryLimit(certificateRevisions)
}

// SecretName is the Secret that receives key, certificate and CA: what the spec says, else <name>-tls.
func SecretName(lw *v1alpha1.LabWorkload) string {
	if encryption := lw.Spec.Encryption; encryption != nil && encryption.InTransit != nil && encryption.InTransit.Certificate != nil {
		if name := encryption.InTransit.Certificate.SecretName; name != "" {
			return name
		}
	}
	const suffix = "-tls"
	return shorten(lw.Name, maxName-len(suffix)) + suffix
}

// SPIFFEID is the identity of lw: spiffe://<trust domain>/ns/<namespace>/labworkload/<name>.
func SPIFFEID(lw *v1alpha1.LabWorkload, trustDomain string) string {
	id := url.URL{Scheme: "spiffe", Host: trustDomain, Path: "/ns/" + lw.Namespace + "/labworkload/" + lw.Name}
	return id.String()
}

// WorkloadOf is the LabWorkload that has a SPIFFE ID; false if no LabWorkload has it.
func WorkloadOf(id string) (types.NamespacedName, bool) {
	parsed, err := config.ParseID(id)
	parts := strings.Split(parsed.Path, "/")
	if err != nil || len(parts) != 5 || parts[1] != "ns" || parts[3] != "labworkload" {
		return types.NamespacedName{}, false
	}
	return types.NamespacedName{Namespace: parts[2], Name: parts[4]}, true
}

// dnsNames are the names under which clients in the cluster reach the Services, from the shortest to the longest.
func dnsNames(namespace string, services []string, clusterDomain string) []string {
	var names []string
	for _, service := range slices.Compact(slices.Sorted(slices.Values(services))) {
		names = append(names, service, service+"."+namespace, service+"."+namespace+".svc")
		if clusterDomain != "" {
			names = append(names, service+"."+namespace+".svc."+clusterDomain)
		}
	}
	return names
}
