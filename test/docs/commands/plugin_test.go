// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/documented"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// plugin builds the programs and puts the plugin where kubectl finds it, as its page says.
func (d desk) plugin() {
	d.Helper()
	d.checkout().Must(d, documented.With(d, documented.Block(d, "docs/kubectl.md", "The kubectl plugin", 1),
		"sudo install", "install", "/usr/local/bin/", d.programs+"/"))
}

// columns is the first line of a table.
var columns = regexp.MustCompile(`^[A-Z][A-Z -]+[A-Z]$`)

// notKnownHere is said where the age of an image decides that nobody has read: exit code 2.
const notKnownHere = " is not known here, and labguard may know: "

// answers runs the commands of a session where there is something to answer. What they say of this laboratory is not what the page says of that one, which
// test/kubectl and cmd/kubectl-labguard compare; here each has an answer, with the columns of the page. Exit code 1 is one, 2 is none, which a page has to
// show.
func (d desk) answers(session []documented.Step, pairs ...string) {
	d.Helper()
	for _, step := range session {
		for i := 0; i+1 < len(pairs); i += 2 {
			step.Command = strings.ReplaceAll(step.Command, pairs[i], pairs[i+1])
		}
		out, err := d.Run(d, step.Command)
		code := new(exec.ExitError)
		switch unanswered := strings.Contains(step.Output, notKnownHere); {
		case unanswered && (!errors.As(err, &code) || code.ExitCode() != 2 || !strings.Contains(out, notKnownHere)):
			d.Errorf("%s is not unanswered, as on the page: %v\n%s", step.Command, err, out)
		case !unanswered && err != nil && (!errors.As(err, &code) || code.ExitCode() != 1):
			d.Errorf("%s: %v\n%s", step.Command, err, out)
		}
		if strings.Contains(out, "unknown ") || strings.Contains(out, "Usage:") {
			d.Errorf("%s is not understood:\n%s", step.Command, out)
		}
		first, _, _ := strings.Cut(step.Output, "\n")
		if columns.MatchString(first) && !documented.Prints(first, out) {
			d.Errorf("%sdoes not have the columns %s:\n%s", step.Command, first, out)
		}
	}
}

const peers = `
apiVersion: labguard.dev/v1alpha1
kind: LabWorkload
metadata: {name: lis, namespace: pathology}
spec:
  selector: {matchLabels: {app: lis}}
  enforcement: Enforce
  encryption:
    inTransit:
      provider: Sidecar
      issuerRef: {name: lab-ca}
      ports:
      - {name: mllp, port: 2575, allowFrom: [{labWorkload: {name: interface-engine}}]}
  images: {maxAge: 2160h, onStale: Hold}
---
apiVersion: labguard.dev/v1alpha1
kind: LabWorkload
metadata: {name: interface-engine, namespace: pathology}
spec:
  selector: {matchLabels: {app: interface-engine}}
  enforcement: Enforce
  encryption: {inTransit: {provider: Sidecar, issuerRef: {name: lab-ca}}}
`

// exported is what a learning management system gives out; two lines are no records.
const exported = `subject,issuer,course,completed,expires,evidence
a1,https://login.lab.example,phishing-basics,2026-09-01,2027-09-01,
a2,https://login.lab.example,hl7-confidentiality,2026-09-01,2027-09-01,
a3,https://login.lab.example,phishing-basics,spring,,
a4,https://login.lab.example,phishing-basics
`

func TestThePluginAnswersWhatItsPageAsks(t *testing.T) {
	d := sit(t)
	d.install()
	d.plugin()
	d.run("kubectl labguard --help")
	if _, err := exec.LookPath("jq"); err != nil {
		t.Log("jq is not installed: cat stands in for it")
		d.write(filepath.Join(d.programs, "jq"), "#!/bin/sh\nexec cat\n", 0o700)
	}
	operator.Start(t, operator.Options{})
	d.namespace("pathology")
	d.apply(peers)
	d.apply(deployment("pathology", "lis", operator.Push(t, "lab/lis:ages", 80*day)))
	d.run("kubectl create clusterrolebinding give-proxy --clusterrole=system:kubelet-api-admin --group=sre")
	t.Cleanup(func() { _, _ = cluster.Kubectl(t, "delete", "clusterrolebinding", "give-proxy") })
	d.until("the image is known", "kubectl get lw -n pathology lis -o jsonpath='{.status.images}'", "Fresh")
	t.Run("standing", func(t *testing.T) {
		on := d
		on.TB = t
		on.answers(documented.Session(t, "docs/kubectl.md", "status", 1))
		on.answers(documented.Session(t, "docs/kubectl.md", "held", 1))
		on.answers(documented.Session(t, "docs/kubectl.md", "forecast", 1))
		on.answers(documented.Session(t, "docs/kubectl.md", "explain KIND/NAME", 1), "registry.example", cluster.RegistryHost())
		// No check asks a registry at a loopback address: what the cluster has a record of stands in for the new image, by its digest.
		known := strings.TrimSpace(on.run("kubectl get lw -n pathology lis -o jsonpath='{.status.images[0].digest}'"))
		asked := documented.With(t, documented.Block(t, "docs/kubectl.md", "explain KIND/NAME", 2), "registry.example/lab/lis:2.5", cluster.RegistryHost()+"/lab/lis@"+known)
		if out := on.run(asked); !strings.Contains(out, "1 let in") {
			t.Errorf("the check says %s", out)
		}
		on.answers(documented.Session(t, "docs/kubectl.md", "explain --from", 1))
		on.answers(documented.Session(t, "docs/kubectl.md", "rights", 1))
		on.answers(documented.Session(t, "docs/kubectl.md", "plan", 1))
	})
	t.Run("inventory", func(t *testing.T) {
		on := d
		on.TB = t
		on.until("the image is recorded", "kubectl get imagerecords", "sha256-")
		on.answers(documented.Session(t, "docs/image-age.md", "The image inventory", 1))
	})
	t.Run("manifests", func(t *testing.T) {
		on := d
		on.TB = t
		on.write(filepath.Join(d.Dir, "deploy", "lis.yaml"), deployment("pathology", "lis", operator.Push(t, "lab/lis:ages", 80*day)), 0o600)
		// The chart is a reader's own: what it renders stands in for it.
		on.write(filepath.Join(d.programs, "helm"), "#!/bin/sh\nexec cat deploy/lis.yaml\n", 0o700)
		on.run("mkdir lab && kubectl get imagerecords,labworkloads,rolloutrecords -A -o yaml > facts.yaml && cp facts.yaml lab")
		// The registry of the page is at a loopback address here, which no check asks: the cluster's facts stand in for its answers.
		on.answers(documented.Session(t, "docs/check.md", "Checking manifests before they are applied", 1), "-f deploy/", "-f deploy/ --facts lab/")
	})
	t.Run("files", func(t *testing.T) {
		on := d
		on.TB = t
		on.run("kubectl apply -f config/samples/identity-provider.yaml")
		t.Cleanup(func() { _, _ = cluster.Kubectl(t, "delete", "identityproviders", "--all") })
		on.run(documented.Block(t, "docs/kubectl.md", "authentication", 1))
		on.run(documented.With(t, documented.Block(t, "docs/kubectl.md", "completion", 1), "sudo mv", "mv", "/usr/local/bin/", d.programs+"/"))
		if out := on.run("kubectl __complete labguard stat"); !strings.Contains(out, "status") {
			t.Errorf("kubectl completes it to %s", out)
		}
	})
}

func TestThePluginAnswersAboutPeople(t *testing.T) {
	d := sit(t)
	d.ungated()
	d.plugin()
	d.namespace("pathology")
	d.namespace("radiology")
	t.Cleanup(func() { _, _ = cluster.Kubectl(t, "delete", "trainingrecords", "--all") })
	d.write(filepath.Join(d.Dir, "lms.csv"), exported, 0o600)
	d.answers(documented.Session(t, "docs/kubectl.md", "training import", 1))
	for _, namespace := range []string{"pathology", "radiology"} {
		use := strings.Replace(strings.Replace(anUse, "%s", "break-glass-5b0e1c2f9a7d4e63", 1), "%s", "sealed", 1)
		d.apply(strings.Replace(use, "namespace: pathology", "namespace: "+namespace, 1))
	}
	d.answers(documented.Session(t, "docs/kubectl.md", "break-glass list and acknowledge", 1))
	// It fails, as there is no such pod, and is in the audit log all the same.
	d.run("! kubectl --as=sealed --as-group=labguard:break-glass --as-group=system:masters create " +
		"--raw '/api/v1/namespaces/pathology/pods/lis-0/exec?command=true' -f /dev/null")
	d.answers(documented.Session(t, "docs/kubectl.md", "break-glass find", 1), "/var/log/kubernetes/audit.log", cluster.AuditLog())
}
