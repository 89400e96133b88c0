// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/documented"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// sealedCredential makes the kubeconfig of an emergency as the page says, and returns the desk of whoever opens the envelope.
func (d desk) sealedCredential(t *testing.T) desk {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("the page makes a certificate with openssl, which is not installed")
	}
	config, err := clientcmd.LoadFromFile(cluster.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	server := config.Clusters[config.Contexts[config.CurrentContext].Cluster]
	authority := server.CertificateAuthorityData
	if len(authority) == 0 {
		if authority, err = os.ReadFile(server.CertificateAuthority); err != nil {
			t.Fatal(err)
		}
	}
	d.write(filepath.Join(d.Dir, "ca.crt"), string(authority), 0o600)
	d.run(documented.Block(t, "docs/break-glass.md", "A sealed credential", 1))
	t.Cleanup(func() {
		_, _ = cluster.Kubectl(t, "delete", "clusterrolebinding", "break-glass")
		_, _ = cluster.Kubectl(t, "delete", "csr", "break-glass-1")
	})
	out := d.run(documented.With(t, documented.Block(t, "docs/break-glass.md", "A sealed credential", 2), "https://api.lab.example:6443", server.Server))
	if !strings.Contains(out, "labguard:break-glass") {
		t.Errorf("the credential does not have the group:\n%s", out)
	}
	return d
}

// anUse is what labguard writes when it sees the use of a sealed credential.
const anUse = `
apiVersion: labguard.dev/v1alpha1
kind: BreakGlassUse
metadata: {name: %s, namespace: pathology}
spec:
  user: %s
  first: "2026-11-23T02:00:00Z"
  last: "2026-11-23T02:10:00Z"
  count: 3
  requests: [{at: "2026-11-23T02:00:00Z", operation: CONNECT, resource: pods/exec, name: lis-0}]
`

func TestARehearsalGoesAsThePageSays(t *testing.T) {
	d := sit(t)
	d.ungated()
	d.plugin()
	d.namespace("pathology")
	d = d.sealedCredential(t)
	if out := d.run(documented.Block(t, "docs/break-glass.md", "Rehearsal", 1)); !strings.Contains(out, "break-glass-1") {
		t.Errorf("the envelope is of somebody else:\n%s", out)
	}
	// Pods of the Deployment wait for a node for ever, but they are there and go.
	d.run(documented.Block(t, "docs/break-glass.md", "Rehearsal", 2))
	d.run("kubectl --kubeconfig break-glass-1.kubeconfig create token default -n pathology > /dev/null")
	if out := d.run(documented.With(t, documented.Block(t, "docs/break-glass.md", "Rehearsal", 3),
		"/var/log/kubernetes/audit.log", cluster.AuditLog())); !strings.Contains(out, "break-glass-1") {
		t.Errorf("the use is not found:\n%s", out)
	}
	d.apply(strings.NewReplacer("%s", "break-glass-1").Replace(anUse))
	out := d.run(documented.With(t, documented.Block(t, "docs/break-glass.md", "Rehearsal", 4), "acknowledge NAME", "acknowledge break-glass-1"))
	if !strings.Contains(out, "rehearsal of 2026-11-26, envelope 1") {
		t.Errorf("it is not acknowledged:\n%s", out)
	}
}

func TestUsesAreListedAsThePageSays(t *testing.T) {
	d := sit(t)
	d.ungated()
	d.namespace("pathology")
	d.apply(strings.Replace(strings.Replace(anUse, "%s", "break-glass-1b4f0e9851971998", 1), "%s", "night", 1))
	d.follows(documented.Session(t, "docs/access.md", "Break glass", 1))
}

func TestTrainingRecordsAreShownWithoutDates(t *testing.T) {
	d := sit(t)
	d.ungated()
	d.apply(`
apiVersion: labguard.dev/v1alpha1
kind: TrainingRecord
metadata: {name: training-37ffdd91fe8514dcaa8808cadf111cf2}
spec: {issuer: "https://login.lab.example", subject: 00u1f7c2, course: phishing-basics, completed: "2026-09-01T00:00:00Z"}
`)
	t.Cleanup(func() { _, _ = cluster.Kubectl(t, "delete", "trainingrecords", "--all") })
	d.follows(documented.Session(t, "docs/training.md", "What is kept of a person", 1))
}

// trusted is a configuration with a root of the trust domain.
func trusted(t *testing.T) string {
	t.Helper()
	d := sit(t)
	d.run("kubectl apply -f hack/lab-ca.yaml")
	var root string
	operator.Eventually(t, "the root is there", func() error {
		out, err := cluster.Kubectl(t, "get", "secret", "-n", "cert-manager", "lab-ca", "-o", `jsonpath={.data.tls\.crt}`)
		if err != nil {
			return err
		}
		decoded, err := base64.StdEncoding.DecodeString(out)
		root = string(decoded)
		return err
	})
	return operator.Configuration() + "trustDomains:\n- name: lab.example\n  roots: |\n    " + strings.ReplaceAll(strings.TrimSpace(root), "\n", "\n    ") + "\n"
}

func TestRootsThatLeaveAreToldInTheBundle(t *testing.T) {
	d := sit(t)
	d.ungated()
	operator.Start(t, operator.Options{Configuration: trusted(t)})
	d.until("the bundle is there", "kubectl get clustertrustbundles -o name", "labguard-trust-lab.example")
	d.run(documented.Block(t, "docs/certificates.md", "Changing a root", 1))
}
