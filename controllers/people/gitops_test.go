// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/golden"
)

// gitOpsStates is where test/gitops has the states of an IdentityProvider that it holds GitOps tools to.
const gitOpsStates = "../../../test/gitops/testdata/identityprovider/"

func TestTheStatesThatGitOpsToolsAreHeldToAreReal(t *testing.T) {
	states := map[string]struct {
		before time.Duration
		rivals []string
	}{
		"claims-seen":     {before: time.Hour},
		"claims-not-seen": {before: 48 * time.Hour},
		"conflict":        {before: time.Hour, rivals: []string{"old-login"}},
	}
	for name, state := range states {
		t.Run(name, func(t *testing.T) {
			one := provider("login", issuer, seenAt(state.before))
			one.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "IdentityProvider"}
			one.Generation = 1
			one.Status.Conditions = conditionsOf(one, judgeSeen(one, noon), state.rivals, noon)
			golden.YAML(t, gitOpsStates+name, one)
		})
	}
}
