// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/testutil/golden"
)

func TestTheCertificateIsAsTheSpecSays(t *testing.T) {
	plain := workload("pathology", "lis", port(2575))
	plain.Spec.Encryption.InTransit.IssuerRef.Kind = ""
	named := workload("pathology", "lis", port(2575))
	named.Spec.Encryption.InTransit.IssuerRef = v1alpha1.IssuerReference{Kind: v1alpha1.IssuerKindIssuer, Name: "team-ca"}
	named.Spec.Encryption.InTransit.Certificate = &v1alpha1.CertificateSpec{SecretName: "lis-keys", Services: []string{"lis", "hl7", "lis"}}
	long := workload("pathology", strings.Repeat("a", 50)+"."+strings.Repeat("b", 200), port(2575))
	for name, lw := range map[string]*v1alpha1.LabWorkload{"plain": plain, "with-services": named, "with-a-long-name": long} {
		t.Run(name, func(t *testing.T) {
			golden.YAML(t, "certificate-"+name, desired.Certificate(lw, cluster()))
		})
	}
	t.Run("without-cluster-domain", func(t *testing.T) {
		golden.YAML(t, "certificate-without-cluster-domain", desired.Certificate(named, desired.Cluster{TrustDomain: "lab.example"}))
	})
}

func TestNoCertificateIsWantedWithoutEncryptionInTransit(t *testing.T) {
	for name, lw := range map[string]*v1alpha1.LabWorkload{
		"nothing about encryption": workload("pathology", "lis"),
		"in deletion":              workload("pathology", "lis", port(2575), deleting),
	} {
		t.Run(name, func(t *testing.T) {
			if got := desired.Certificate(lw, cluster()); got != nil {
				t.Errorf("want none, got %v", got)
			}
		})
	}
}

func TestNamesStayWithinTheLimitsAndApart(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"lis", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 253), strings.Repeat("a", 252) + "b", strings.Repeat("a", 51) + "." + strings.Repeat("b", 100)} {
		child, label, secret := desired.ChildName(name), desired.LabelValue(name), desired.SecretName(workload("n", name))
		if problems := append(append(utilvalidation.IsValidLabelValue(label), validation.NameIsDNSSubdomain(secret, false)...), validation.NameIsDNSSubdomain(child, false)...); len(problems) > 0 {
			t.Errorf("%s: %v", name, problems)
		}
		for _, made := range []string{"child " + child, "label " + label, "secret " + secret} {
			if other, taken := seen[made]; taken {
				t.Errorf("%s is made of %s and of %s", made, name, other)
			}
			seen[made] = name
		}
	}
}

func TestAnIDLeadsBackToItsLabWorkload(t *testing.T) {
	lis := &v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis.2"}}
	if key, found := desired.WorkloadOf(desired.SPIFFEID(lis, "lab.example")); !found || key.Namespace != "pathology" || key.Name != "lis.2" {
		t.Errorf("%v, %t", key, found)
	}
	for _, id := range []string{"", "%", "https://lab.example/ns/a/labworkload/b", "spiffe://lab.example/ns/a/sa/b", "spiffe://lab.example/ns/a/labworkload/b/c", "spiffe://lab.example/labguard/operator"} {
		if key, found := desired.WorkloadOf(id); found {
			t.Errorf("%s is %v", id, key)
		}
	}
}
