// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/documented"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// Somebody with the rights of the page and no others gets all answers of the page.
func TestAnAuditorGetsEveryAnswer(t *testing.T) {
	d := sit(t)
	d.install()
	d.plugin()
	operator.Start(t, operator.Options{})
	d.namespace("pathology")
	d.apply(workload("pathology", "portal", ""))
	d.until("labguard has looked", "kubectl get labworkload portal -n pathology -o jsonpath='{.status.observedGeneration}'", "1")

	d.run(documented.Block(t, "docs/auditors.md", "The rights", 1))
	t.Cleanup(func() {
		_, _ = cluster.Kubectl(t, "delete", "clusterrole/auditors-rights", "clusterrolebinding/auditors-rights", "clusterrolebinding/auditors-view", "clusterrolebinding/auditors-images")
		_, _ = cluster.Kubectl(t, "delete", "-n", "labguard-system", "role/auditors-configuration", "rolebinding/auditors-configuration")
	})
	auditor := d
	auditor.home = t.TempDir()
	auditor.Env = append([]string{"HOME=" + auditor.home}, d.Env[1:]...)
	kubeconfig, err := os.ReadFile(cluster.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	personal := strings.Replace(string(kubeconfig), "  user:\n", "  user:\n    as: oidc:audrey\n    as-groups: [auditors]\n", 1)
	auditor.write(filepath.Join(auditor.home, ".kube", "config"), personal, 0o600)
	if out := auditor.run("kubectl auth whoami -o jsonpath='{.status.userInfo.username}'"); out != "oidc:audrey" {
		t.Fatalf("the auditor is %q", out)
	}

	for line := range strings.Lines(documented.Block(t, "docs/auditors.md", "The answers", 1)) {
		out := auditor.run(line)
		if strings.Contains(strings.ToLower(out), "forbidden") || strings.Contains(out, "may not") || strings.Contains(out, "unknown flag") {
			t.Errorf("%sis not answered:\n%s", line, out)
		}
	}
	auditor.run(documented.Block(t, "docs/auditors.md", "Evidence of a date", 1))
	var stored any
	if content, err := os.ReadFile(filepath.Join(auditor.Dir, "status.json")); err != nil || json.Unmarshal(content, &stored) != nil || !strings.Contains(string(content), "pathology") {
		t.Errorf("what is stored is %s, %v", content, err)
	}
	for question, want := range map[string]string{
		"list secrets -A": "no", "list configmaps -A": "no", "list pods -A": "no", "list trainingrecords.labguard.dev": "no", "update labworkloads.labguard.dev -A": "no",
		"patch breakglassuses.labguard.dev -A": "no", "list labworkloads.labguard.dev -A": "yes",
	} {
		if out := auditor.run("kubectl auth can-i " + question + " || true"); strings.TrimSpace(lastLine(out)) != want {
			t.Errorf("may the auditor %s? %s", question, out)
		}
	}
}

// lastLine is the answer behind warnings.
func lastLine(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}
