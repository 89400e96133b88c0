// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/operator"
)

const rolloutDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rollouts.argoproj.io}
spec:
  group: argoproj.io
  scope: Namespaced
  names: {kind: Rollout, listKind: RolloutList, plural: rollouts, singular: rollout}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// TestArgoRollouts shows that Rollouts are judged from the moment in which their kind is served, without a restart of labguard.
func TestArgoRollouts(t *testing.T) {
	running := operator.Start(t, operator.Options{})
	fresh, stale := operator.Push(t, "lab/rollout:fresh", 10*day), operator.Push(t, "lab/rollout:stale", 200*day)
	l := newLab(t)
	l.govern("lis")
	t.Cleanup(func() { l.kubectl("delete", "--ignore-not-found", "crd", "rollouts.argoproj.io") })
	l.kubectl("apply", "-f", l.file(rolloutDefinition))
	l.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/rollouts.argoproj.io")
	l.kubectl("create", "clusterrole", "rollouts-"+l.namespace, "--verb=*", "--resource=rollouts.argoproj.io")
	t.Cleanup(func() { l.kubectl("delete", "clusterrole", "rollouts-"+l.namespace) })
	l.kubectl("create", "rolebinding", "rollouts", "--clusterrole=rollouts-"+l.namespace, "--user=tenant-"+l.namespace, "-n", l.namespace)
	operator.Eventually(t, "the webhooks list Rollouts", func() error {
		configuration := l.kubectl("get", "validatingwebhookconfiguration", "labguard-rollouts", "-o", "yaml")
		if !strings.Contains(configuration, "argoproj.io") {
			return errors.New("they do not")
		}
		return nil
	})
	rollout := func(image string) string {
		return l.file(fmt.Sprintf("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: lis}\nspec: {template: %s}\n", template("lis", image)))
	}
	operator.Eventually(t, "a stale image is refused", func() error {
		output, err := l.tenant("create", "--dry-run=server", "-f", rollout(stale))
		if err == nil {
			return fmt.Errorf("it is not: %s", output)
		}
		if !strings.Contains(err.Error(), "is stale") {
			return err
		}
		return nil
	})
	l.may("apply", "-f", rollout(fresh))
	l.admitted("rollout-lis", fresh, v1alpha1.AdmittedFresh)
	l.mayNot([]string{"is stale"}, "apply", "-f", rollout(stale))
	// An event about a namespace that is being deleted is forbidden as well; what a right is missing for says who cannot do what.
	if strings.Contains(running.Log(), `labguard\" cannot `) {
		t.Errorf("labguard misses rights:\n%s", running.Log())
	}
}
