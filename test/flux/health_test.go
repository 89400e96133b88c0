// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package flux

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// later is a ClusterIssuer that labguard's configuration lists and that is not there at first.
const later = `{"apiVersion":"cert-manager.io/v1","kind":"ClusterIssuer","metadata":{"name":"` + laterCA + `"},"spec":{"ca":{"secretName":"lab-ca"}}}`

func waitsForReady(t *testing.T) {
	r := newRepository(t, "kustomization.yaml", plenty)
	image := operator.Push(t, "flux/ready:1", 10*day)
	revision := r.commit(map[string]string{"guard.yaml": guard("one", "Deny", encrypted(laterCA, "lis")), "lis.yaml": software("lis", image, "one", "")})
	operator.Eventually(t, "labguard waits for the certificate", func() error {
		_, err := cluster.Kubectl(t, "wait", "--for=condition=Reconciling", "--timeout=1s", "labworkload/laboratory", "-n", r.namespace)
		return err
	})
	kubectl(t, "rollout", "status", "deployment/lis", "--timeout=60s", "-n", r.namespace)
	r.until("Flux waits for it", func(k kustomization) error {
		ready, healthy := meta.FindStatusCondition(k.Status.Conditions, "Ready"), meta.FindStatusCondition(k.Status.Conditions, "Healthy")
		if ready == nil || ready.Status != metav1.ConditionUnknown || healthy == nil || healthy.Reason != "Progressing" {
			return errors.New("it does not")
		}
		return nil
	})
	issuer := filepath.Join(t.TempDir(), "issuer.json")
	if err := os.WriteFile(issuer, []byte(later), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "apply", "-f", issuer)
	t.Cleanup(func() { kubectl(t, "delete", "clusterissuer", laterCA) })
	r.succeeds(revision)
	kubectl(t, "wait", "--for=condition=Ready", "--timeout=0", "labworkload/laboratory", "-n", r.namespace)
}

func failsFast(t *testing.T) {
	r := newRepository(t, "kustomization.yaml", 10*time.Minute)
	began := time.Now()
	ready := r.applied(r.commit(map[string]string{"guard.yaml": guard("one", "Deny", encrypted("unknown-ca", "lis"))}))
	t.Logf("Flux says after %s of a timeout of 10 minutes: %s: %s", time.Since(began).Round(time.Second), ready.Reason, ready.Message)
	if ready.Status != metav1.ConditionFalse || ready.Reason != "HealthCheckFailed" {
		t.Errorf("it is %s/%s", ready.Status, ready.Reason)
	}
	says(t, ready.Message, "LabWorkload/"+r.namespace+"/laboratory status: 'Failed'")
}

// complianceGate has an image that is stale where nothing is enforced: labguard has done its part, and the pods are not compliant.
func complianceGate(t *testing.T) {
	old := operator.Push(t, "flux/compliance:1", 200*day)
	files := map[string]string{
		"guard.yaml": "apiVersion: labguard.dev/v1alpha1\nkind: LabWorkload\nmetadata: {name: laboratory}\nspec:\n  selector: {matchLabels: {area: laboratory}}\n" +
			"  enforcement: Audit\n  images: {maxAge: 2160h}\n",
		"lis.yaml": software("lis", old, "one", ""),
	}
	plain, gate := newRepository(t, "kustomization.yaml", plenty), newRepository(t, "compliance-gate.yaml", short, func(spec map[string]any) { spec["retryInterval"] = "10s" })
	plain.succeeds(plain.commit(files))
	ready := gate.applied(gate.commit(files))
	t.Logf("Flux says: %s: %s", ready.Reason, ready.Message)
	if ready.Status != metav1.ConditionFalse || ready.Reason != "HealthCheckFailed" {
		t.Errorf("it is %s/%s", ready.Status, ready.Reason)
	}
	says(t, ready.Message, "LabWorkload/"+gate.namespace+"/laboratory status: 'InProgress'")
	kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "labworkload/laboratory", "-n", gate.namespace)
	files["lis.yaml"] = software("lis", operator.Push(t, "flux/compliance:2", 10*day), "two", "")
	revision := gate.commit(files)
	gate.until("Flux is content", func(k kustomization) error {
		if k.Status.LastAppliedRevision != revision || !meta.IsStatusConditionTrue(k.Status.Conditions, "Ready") {
			return errors.New("it is not")
		}
		return nil
	})
}
