// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// TestCertificate plays what a team declares about encryption in transit, with the real controllers of cert-manager.
func TestCertificate(t *testing.T) {
	withIssuers(t)
	operator.Start(t, operator.Options{})
	t.Run("in namespaces of their own", func(t *testing.T) {
		for name, test := range map[string]func(t *testing.T){
			"the certificate chains to the CA and is what the spec says, and the status is what the certificate says": certificateIssued,
			"an issuer that is not in the configuration is refused, also the team's own of an allowed name":           issuerNotAllowed,
			"a foreign Certificate with the child's name is never touched, and the report says so":                    foreignCertificate,
			"back to Audit keeps the certificate; without the requirement it goes":                                    certificateUnderAudit,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t)
			})
		}
	})
}

func withIssuers(t *testing.T) {
	t.Helper()
	kubectl(t, "apply", "-f", "../../hack/lab-ca.yaml")
	kubectl(t, "wait", "--for=condition=Ready", "--timeout=120s", "clusterissuer/lab-ca")
}

// encrypted makes a LabWorkload that wants a certificate for Services, and nothing else.
func encrypted(services ...string) func(*v1alpha1.LabWorkloadSpec) {
	return func(spec *v1alpha1.LabWorkloadSpec) {
		spec.Images = nil
		spec.Encryption = &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{
			Provider: v1alpha1.TransitProviderApplication, IssuerRef: v1alpha1.IssuerReference{Name: "lab-ca"},
		}}
		if len(services) > 0 {
			spec.Encryption.InTransit.Certificate = &v1alpha1.CertificateSpec{Services: services}
		}
	}
}

// issued waits until the status speaks of a certificate that is the one in the Secret and valid for the DNS names, and returns it.
func (l *lab) issued(name string, dnsNames ...string) *x509.Certificate {
	l.Helper()
	var leaf *x509.Certificate
	slices.Sort(dnsNames)
	operator.Eventually(l, "the certificate of LabWorkload "+name, func() error {
		secret := &corev1.Secret{}
		if err := l.get(name+"-tls", secret); err != nil {
			return err
		}
		block, _ := pem.Decode(secret.Data[corev1.TLSCertKey])
		if block == nil {
			return errors.New("the Secret has no certificate")
		}
		var err error
		if leaf, err = x509.ParseCertificate(block.Bytes); err != nil {
			return err
		}
		if diff := gocmp.Diff(dnsNames, slices.Sorted(slices.Values(leaf.DNSNames))); diff != "" {
			return fmt.Errorf("its DNS names differ (-want +got):\n%s", diff)
		}
		found := status(l, name).Certificate
		if found == nil || found.Serial != leaf.SerialNumber.Text(16) {
			return fmt.Errorf("the status speaks of another: %+v, the Secret has %s", found, leaf.SerialNumber.Text(16))
		}
		return nil
	})
	return leaf
}

func certificateIssued(t *testing.T) {
	l := newLab(t)
	l.declare("lis", encrypted("lis", "portal"))
	names := func(services ...string) (all []string) {
		for _, service := range services {
			all = append(all, service, service+"."+l.namespace, service+"."+l.namespace+".svc", service+"."+l.namespace+".svc.cluster.local")
		}
		return all
	}
	leaf := l.issued("lis", names("lis", "portal")...)
	l.ready("lis")
	l.condition("lis", v1alpha1.ConditionTransitEncrypted, metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
	authority := &corev1.Secret{}
	if err := l.Get(t.Context(), keyOf("cert-manager", "lab-ca"), authority); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.Data[corev1.TLSCertKey])
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}, DNSName: "lis." + l.namespace + ".svc"}); err != nil {
			t.Errorf("the certificate does not chain to the CA for usage %d: %v", usage, err)
		}
	}
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != "spiffe://lab.example/ns/"+l.namespace+"/labworkload/lis" {
		t.Errorf("the URIs are %v", leaf.URIs)
	}
	if len(leaf.IPAddresses) > 0 || len(leaf.EmailAddresses) > 0 || leaf.Subject.CommonName != "" {
		t.Errorf("the certificate says more than it should: %v %v %q", leaf.IPAddresses, leaf.EmailAddresses, leaf.Subject.CommonName)
	}
	if key, isECDSA := leaf.PublicKey.(*ecdsa.PublicKey); !isECDSA || key.Curve != elliptic.P256() {
		t.Errorf("the key is %T, not ECDSA P-256", leaf.PublicKey)
	}
	if lifetime := leaf.NotAfter.Sub(leaf.NotBefore); lifetime < 336*time.Hour || lifetime > 337*time.Hour {
		t.Errorf("the certificate lives for %s", lifetime)
	}
	statusSaysWhatTheCertificateDoes(l, leaf)

	l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Encryption.InTransit.Certificate.Services = []string{"lis"} })
	renewed := l.issued("lis", names("lis")...)
	if renewed.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
		t.Error("other services did not lead to another certificate")
	}
	statusSaysWhatTheCertificateDoes(l, renewed)
}

func statusSaysWhatTheCertificateDoes(l *lab, leaf *x509.Certificate) {
	l.Helper()
	operator.Eventually(l, "the status of the certificate", func() error {
		live := &certmanagerv1.Certificate{}
		if err := l.get("labguard-lis", live); err != nil {
			return err
		}
		said := status(l, "lis").Certificate
		if said == nil || !said.NotAfter.Time.Equal(leaf.NotAfter) || !said.RenewalTime.Equal(live.Status.RenewalTime) || said.SecretName != "lis-tls" {
			return fmt.Errorf("it is %+v; the certificate ends %s, cert-manager says %+v", said, leaf.NotAfter, live.Status)
		}
		return nil
	})
}

func issuerNotAllowed(t *testing.T) {
	l := newLab(t)
	l.kubectl("apply", "-n", l.namespace, "-f", l.file("apiVersion: cert-manager.io/v1\nkind: Issuer\nmetadata: {name: lab-ca}\nspec: {selfSigned: {}}\n"))
	for name, reference := range map[string]v1alpha1.IssuerReference{
		"foreign": {Name: "lab-ca-bootstrap"}, "own": {Kind: v1alpha1.IssuerKindIssuer, Name: "lab-ca"},
	} {
		l.declare(name, encrypted(), func(spec *v1alpha1.LabWorkloadSpec) { spec.Encryption.InTransit.IssuerRef = reference })
		l.condition(name, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonIssuerNotAllowed)
		l.condition(name, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonIssuerNotAllowed)
		refused := l.condition(name, v1alpha1.ConditionTransitEncrypted, metav1.ConditionFalse, v1alpha1.ReasonIssuerNotAllowed)
		if !strings.Contains(refused.Message, reference.Name) {
			t.Errorf("the issuer is not named: %s", refused.Message)
		}
	}
	if found := l.kubectl("get", "certificate", "-n", l.namespace, "-o", "name"); found != "" {
		t.Errorf("an issuer of the team's own has signed %s", found)
	}
	l.change("foreign", func(spec *v1alpha1.LabWorkloadSpec) { spec.Encryption.InTransit.IssuerRef.Name = "lab-ca" })
	l.issued("foreign")
	l.ready("foreign")
}

func foreignCertificate(t *testing.T) {
	l := newLab(t)
	l.kubectl("apply", "-n", l.namespace, "-f", l.file(`
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: labguard-lis}
spec: {secretName: theirs, dnsNames: [theirs.example], issuerRef: {kind: ClusterIssuer, name: lab-ca-bootstrap}}
`))
	l.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "certificate/labguard-lis", "-n", l.namespace)
	theirs := &certmanagerv1.Certificate{}
	if err := l.get("labguard-lis", theirs); err != nil {
		t.Fatal(err)
	}
	l.declare("lis", encrypted("lis"))
	refused := l.condition("lis", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNameTaken)
	if !strings.Contains(refused.Message, "Certificate labguard-lis exists and is not labguard's") {
		t.Errorf("nothing says what is in the way: %s", refused.Message)
	}
	l.condition("lis", v1alpha1.ConditionTransitEncrypted, metav1.ConditionFalse, v1alpha1.ReasonNameTaken)
	if found := status(l, "lis").Certificate; found != nil {
		t.Errorf("somebody else's certificate is reported as this one's: %+v", found)
	}
	after := &certmanagerv1.Certificate{}
	if err := l.get("labguard-lis", after); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(theirs.Spec, after.Spec); diff != "" || after.UID != theirs.UID {
		t.Errorf("somebody else's certificate was changed:\n%s", diff)
	}
	l.may("delete", "labworkload", "lis")
	l.declare("other", encrypted("lis")) // a look at the namespace after the deletion
	l.ready("other")
	if err := l.get("labguard-lis", after); err != nil {
		t.Errorf("somebody else's certificate went with the LabWorkload: %v", err)
	}
}

func certificateUnderAudit(t *testing.T) {
	l := newLab(t)
	l.declare("lis", encrypted("lis"), func(spec *v1alpha1.LabWorkloadSpec) { spec.Enforcement = v1alpha1.EnforcementAudit })
	l.condition("lis", v1alpha1.ConditionTransitEncrypted, metav1.ConditionFalse, v1alpha1.ReasonAudit)
	if err := l.get("labguard-lis", &certmanagerv1.Certificate{}); err == nil {
		t.Error("Audit asked for a certificate")
	}
	l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Enforcement = v1alpha1.EnforcementEnforce })
	l.ready("lis")
	before := &certmanagerv1.Certificate{}
	if err := l.get("labguard-lis", before); err != nil {
		t.Fatal(err)
	}
	l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Enforcement = v1alpha1.EnforcementAudit })
	l.condition("lis", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAudit)
	l.condition("lis", v1alpha1.ConditionTransitEncrypted, metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
	after := &certmanagerv1.Certificate{}
	if err := l.get("labguard-lis", after); err != nil || after.UID != before.UID {
		t.Errorf("back to Audit the certificate is not the same any more: %v", err)
	}
	l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Encryption = nil })
	l.gone("labguard-lis", &certmanagerv1.Certificate{})
	if err := l.get("lis-tls", &corev1.Secret{}); err != nil {
		t.Errorf("the Secret went with the requirement, under an application that may still use it: %v", err)
	}
}
