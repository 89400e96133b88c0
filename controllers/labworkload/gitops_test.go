// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/apply"
	"github.com/labguard/labguard/internal/outcome"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/golden"
)

// gitOpsStates is where test/gitops has the states of a LabWorkload that it holds GitOps tools to.
const gitOpsStates = "../../../test/gitops/testdata/labworkload/"

// gitOpsCase is a LabWorkload that enforces images, with an image that is fresh and a gate that is proven, changed.
type gitOpsCase struct {
	scope  *scope
	images map[string]posture.ImageFacts
	// err is how the writes went.
	err error
}

func (c *gitOpsCase) spec() *v1alpha1.LabWorkloadSpec { return &c.scope.workload.Spec }

// status decides and reports as a reconcile does.
func (c *gitOpsCase) status() *v1alpha1.LabWorkloadStatus {
	c.scope.enforcement = posture.EnforcementAt(c.spec(), c.scope.now)
	decided, _ := reconcilerWith(&library{images: c.images}).decide(c.scope)
	return computeStatus(c.scope, decided, c.err)
}

func enforcing(t *testing.T) *gitOpsCase {
	t.Helper()
	c := &gitOpsCase{scope: scopeOf(t, gitOpsObjects(lis)...), images: map[string]posture.ImageFacts{lis: build("1a", 10*day)}}
	c.scope.workload.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "LabWorkload"}
	c.spec().Enforcement, c.spec().Images.MinAge = v1alpha1.EnforcementEnforce, ""
	c.scope.common = arm
	since := metav1.NewTime(today.Add(-30 * day).Truncate(1e9))
	c.scope.records = []v1alpha1.RolloutRecord{{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.EpochRecordName},
		Spec:       v1alpha1.RolloutRecordSpec{Epoch: &v1alpha1.Epoch{EnforcedSince: &since, Proof: v1alpha1.ReasonProven}},
	}, {
		ObjectMeta: metav1.ObjectMeta{Name: "deployment-lis"},
		Spec:       v1alpha1.RolloutRecordSpec{Admitted: []v1alpha1.AdmittedImage{{Reference: lis, Reason: v1alpha1.AdmittedFresh, Time: since}}},
	}}
	return c
}

// gitOpsObjects are a Deployment that declares an image, and a pod that runs the one that is admitted.
func gitOpsObjects(declared string) []client.Object {
	return []client.Object{deployment("lis", declared), replicaSet("lis-1", lis), podOf("lis-1", lis)}
}

func (c *gitOpsCase) proof(reason, detail string) {
	c.scope.epoch().Proof, c.scope.epoch().Detail = reason, detail
}

func (c *gitOpsCase) audit() { c.spec().Enforcement = v1alpha1.EnforcementAudit }

// hold is what a pipeline finds with onStale: Hold where Git wants an image that is stale.
func (c *gitOpsCase) hold(t *testing.T) {
	t.Helper()
	const wanted = "registry.example/lis:2"
	objects := gitOpsObjects(wanted)
	marked(objects[0], paused)
	c.scope.found = scopeOf(t, objects...).found
	c.images[wanted] = build("2b", 100*day)
	c.spec().Images.OnStale = v1alpha1.OnStaleHold
	since := metav1.NewTime(today.Add(-day).Truncate(1e9))
	c.scope.records[1].Spec.Held = &v1alpha1.Hold{Since: since}
}

func TestTheStatesThatGitOpsToolsAreHeldToAreReal(t *testing.T) {
	transit := func(c *gitOpsCase) {
		issuer := v1alpha1.IssuerReference{Kind: "ClusterIssuer", Name: "letsencrypt"}
		c.spec().Encryption = &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{Provider: v1alpha1.TransitProviderApplication, IssuerRef: issuer}}
	}
	states := map[string]func(*testing.T, *gitOpsCase){
		"ready":               func(*testing.T, *gitOpsCase) {},
		"ready-audit":         func(_ *testing.T, c *gitOpsCase) { c.audit() },
		"not-compliant-audit": func(_ *testing.T, c *gitOpsCase) { c.audit(); c.images[lis] = build("1a", 100*day) },
		"not-compliant":       func(_ *testing.T, c *gitOpsCase) { c.images[lis] = build("1a", 100*day) },
		"not-known": func(_ *testing.T, c *gitOpsCase) {
			c.images[lis] = posture.ImageFacts{Unknown: v1alpha1.ReasonRegistryUnreachable}
		},
		"held":        func(t *testing.T, c *gitOpsCase) { t.Helper(); c.hold(t) },
		"suspended":   func(_ *testing.T, c *gitOpsCase) { c.spec().Suspend = true },
		"in-recovery": func(_ *testing.T, c *gitOpsCase) { c.scope.inRecovery = true },
		"canary-blocked": func(_ *testing.T, c *gitOpsCase) {
			c.proof(v1alpha1.ReasonCanaryBlocked, "admission webhook \"validate.kyverno.svc\" denied the request")
		},
		"reconciling-not-proven": func(_ *testing.T, c *gitOpsCase) { c.scope.records = nil },
		"reconciling-waits": func(_ *testing.T, c *gitOpsCase) {
			c.err = &outcome.WaitingError{Reason: v1alpha1.ReasonCertManagerMissing, Message: "the API of cert-manager is not served"}
		},
		"reconciling-failed": func(_ *testing.T, c *gitOpsCase) { c.err = errors.New("the API server does not answer") },
		"stalled-invalid-selector": func(_ *testing.T, c *gitOpsCase) {
			c.scope.selectorError = errors.New("\"Near\" is not a valid label selector operator")
		},
		"stalled-name-taken":         func(_ *testing.T, c *gitOpsCase) { c.err = &apply.NotOursError{Object: "NetworkPolicy lis"} },
		"stalled-namespace-excluded": func(_ *testing.T, c *gitOpsCase) { c.scope.excluded = true },
		"stalled-issuer":             func(_ *testing.T, c *gitOpsCase) { transit(c) },
		"break-glass":                func(_ *testing.T, c *gitOpsCase) { c.scope.people.users = []string{"night"} },
	}
	for name, change := range states {
		t.Run(name, func(t *testing.T) {
			c := enforcing(t)
			change(t, c)
			workload := c.scope.workload
			workload.Status = *c.status()
			golden.YAML(t, gitOpsStates+name, workload)
		})
	}
}
