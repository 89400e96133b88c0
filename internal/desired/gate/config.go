// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/labguard/labguard/internal/desired/policy"
)

// DefaultTimeoutSeconds is how long the API server waits for the rollout webhooks if Config says nothing.
const DefaultTimeoutSeconds int32 = 5

// Config is what the objects of the gate depend on.
type Config struct {
	// Namespaces are the names of the namespaces whose writes are asked about. Order and doubles do not matter.
	Namespaces []string
	// GitOpsNamespaces are the namespaces of tools that write on behalf of tenants, such as flux-system or argocd: their
	// ServiceAccounts are judged as a person is.
	GitOpsNamespaces []string
	// LabguardUser is the user name of labguard itself, such as system:serviceaccount:labguard-system:labguard.
	LabguardUser string
	// Endpoint is where the API server reaches the webhooks.
	Endpoint Endpoint
	// CABundle are the PEM certificates that the serving certificate of the webhooks chains to.
	CABundle []byte
	// AnchorName and AnchorUID name the cluster-scoped ClusterRole that owns every object of the gate, so that its deletion
	// removes them. Without a UID the objects have no owner.
	AnchorName string
	AnchorUID  types.UID
	// ArgoRollouts says whether the cluster serves rollouts.argoproj.io/v1alpha1.
	ArgoRollouts bool
	// TimeoutSeconds is how long the API server waits for an answer, 1 to 30; 0 means DefaultTimeoutSeconds.
	TimeoutSeconds int32
}

// Endpoint is where the API server reaches the webhooks.
type Endpoint = policy.Endpoint

// listed gives the names of the namespaces sorted and without doubles.
func (c Config) listed() []string {
	return slices.Compact(slices.Sorted(slices.Values(c.Namespaces)))
}

func (c Config) timeout() int32 {
	if c.TimeoutSeconds == 0 {
		return DefaultTimeoutSeconds
	}
	return c.TimeoutSeconds
}

// labels are on every object of the gate.
func (c Config) labels() map[string]string { return policy.Labels() }

// owners is the anchor, if it is known.
func (c Config) owners() []*metav1ac.OwnerReferenceApplyConfiguration {
	return policy.Anchor{Name: c.AnchorName, UID: c.AnchorUID}.Owners()
}

func quote(text string) string { return policy.Quote(text) }

func quoteAll(texts []string) string { return policy.QuoteAll(texts) }
