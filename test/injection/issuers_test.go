// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

func TestAProtectedIssuerServesLabguardAlone(t *testing.T) {
	l := newLab(t)
	l.govern()
	for _, resource := range []string{"certificates", "certificaterequests"} {
		l.Allow(l.Tenant, "cert-manager.io", resource, "create", "patch", "delete")
	}
	cluster := "lab-" + l.Namespace
	protected := map[string][2]string{"a ClusterIssuer": {"ClusterIssuer", cluster}, "an Issuer": {"Issuer", "lab"}, "an Issuer by default": {"", "lab"}}
	for name, issuer := range protected {
		t.Run(name, func(t *testing.T) {
			l := l.in(t)
			certificate := func() client.Object { return l.certificate("Certificate", "thief", issuer[0], issuer[1]) }
			l.refused(l.write(l.Tenant, certificate()), injection.IssuersName, "labguard's own Certificates")
			// What cert-manager makes of an Ingress or a Gateway is what a tenant has written.
			l.refused(l.write(certManagerUser, certificate()), injection.IssuersName, "labguard's own Certificates")
			request := l.certificate("CertificateRequest", "thief", issuer[0], issuer[1])
			l.refused(l.write(l.Tenant, request.DeepCopy()), injection.IssuersName, "labguard's own Certificates")
			l.refused(l.write(certManagerUser, request.DeepCopy()), injection.IssuersName, "labguard's own Certificates")
			request.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "cert-manager.io/v1", Kind: "Certificate", Name: "thief", UID: "1", Controller: new(true)}})
			l.refused(l.write(l.Tenant, request.DeepCopy()), injection.IssuersName, "labguard's own Certificates")
			request.SetGenerateName("owned-")
			request.SetName("")
			l.Passes(l.client(certManagerUser).Create(t.Context(), request, client.DryRunAll))
			l.Passes(l.client(tenancy.Labguard).Create(t.Context(), certificate(), client.DryRunAll))
		})
	}
	t.Run("a Certificate that moves to the issuer, or away from it", func(t *testing.T) {
		l := l.in(t)
		mine := l.certificate("Certificate", "mine", "Issuer", "mine")
		l.Must(l.write(l.Tenant, mine))
		to := func(kind, name string) client.Patch {
			return client.RawPatch(types.MergePatchType, []byte(`{"spec":{"issuerRef":{"kind":"`+kind+`","name":"`+name+`"}}}`))
		}
		l.refused(l.client(l.Tenant).Patch(t.Context(), mine, to("ClusterIssuer", cluster)), injection.IssuersName, "labguard's own Certificates")
		l.Passes(l.client(l.Tenant).Patch(t.Context(), mine, to("Issuer", "other")))
		theirs := l.certificate("Certificate", "theirs", "Issuer", "lab")
		l.Must(l.write(tenancy.Labguard, theirs))
		l.refused(l.client(l.Tenant).Patch(t.Context(), theirs, to("Issuer", "mine")), injection.IssuersName, "labguard's own Certificates")
	})
	t.Run("another issuer is everybody's", func(t *testing.T) {
		l := l.in(t)
		l.Passes(l.client(l.Tenant).Create(t.Context(), l.certificate("CertificateRequest", "mine", "Issuer", "lab-2"), client.DryRunAll))
		foreign := l.certificate("Certificate", "foreign", "ClusterIssuer", cluster)
		if spec, ok := foreign.Object["spec"].(map[string]any); ok {
			spec["issuerRef"] = map[string]any{"group": "vendor.example", "kind": "ClusterIssuer", "name": cluster}
		}
		l.Passes(l.client(l.Tenant).Create(t.Context(), foreign, client.DryRunAll))
	})
	t.Run("a CertificateSigningRequest", func(t *testing.T) {
		l := l.in(t)
		for _, signer := range []string{"clusterissuers.cert-manager.io/" + cluster, "issuers.cert-manager.io/" + l.Namespace + ".lab"} {
			request := &certificatesv1.CertificateSigningRequest{
				ObjectMeta: metav1.ObjectMeta{GenerateName: "thief-"},
				Spec:       certificatesv1.CertificateSigningRequestSpec{SignerName: signer, Request: signingRequest(t), Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth}},
			}
			for _, user := range []string{"", certManagerUser, tenancy.Labguard} {
				l.refused(l.client(user).Create(t.Context(), request.DeepCopy(), client.DryRunAll), injection.IssuersName, "CertificateSigningRequest")
			}
			request.Spec.SignerName += "-other"
			l.Passes(l.client("").Create(t.Context(), request, client.DryRunAll))
		}
	})
}

func signingRequest(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}
