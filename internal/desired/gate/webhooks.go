// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"regexp"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

const (
	// ConfigurationName is the name of the first mutating and of the first validating webhook configuration; the others have
	// "-2", "-3" and so on behind it.
	ConfigurationName = "labguard-rollouts"
	// MutatePath is the path of the mutating webhook, whatever the kind.
	MutatePath = "/mutate-rollouts"
	// ValidatePath is the path of the validating webhook, whatever the kind.
	ValidatePath = "/validate-rollouts"
	// NamespacesPerConfiguration is how many names one configuration lists. With 10,000 names in each of its webhooks a
	// configuration comes near to the 1.5 MB that etcd takes.
	NamespacesPerConfiguration = 1000
)

// configurationNames are the names that configurationName can give.
var configurationNames = regexp.MustCompile(`^` + ConfigurationName + `(-[1-9][0-9]*)?$`)

// IsConfiguration says whether a webhook configuration is one of the gate's by its name. One that the builders no longer return is
// to be deleted.
func IsConfiguration(name string) bool {
	return configurationNames.MatchString(name)
}

// entry is one webhook of a configuration: the kinds that have their pod spec at one path.
type entry struct {
	// name is the first part of the name of the webhook.
	name       string
	rules      []*admissionac.RuleWithOperationsApplyConfiguration
	conditions []*admissionac.MatchConditionApplyConfiguration
	policy     admissionv1.FailurePolicyType
}

// MutatingWebhooks gives the configurations of the webhook that records admissions: ConfigurationName, and one more for every
// NamespacesPerConfiguration names. The first exists always; without namespaces it has no webhooks, so nothing is called, and
// nobody has to tell a deleted configuration from one that was never written.
//
// When a name is added or removed, its neighbours may move to another configuration. Apply the last configuration first after
// adding names and the first one first after removing some, and a name is never in none of them.
func MutatingWebhooks(config Config) []*admissionac.MutatingWebhookConfigurationApplyConfiguration {
	groups := chunks(config.listed())
	configurations := make([]*admissionac.MutatingWebhookConfigurationApplyConfiguration, 0, len(groups))
	for i, namespaces := range groups {
		configuration := admissionac.MutatingWebhookConfiguration(configurationName(i)).
			WithLabels(config.labels()).WithOwnerReferences(config.owners()...)
		if len(namespaces) > 0 {
			for _, entry := range roots(config) {
				configuration.WithWebhooks(mutating(config, namespaces, entry))
			}
		}
		configurations = append(configurations, configuration)
	}
	return configurations
}

// ValidatingWebhooks gives the configurations of the webhook that refuses: as MutatingWebhooks, and debug containers, which get a
// warning only.
func ValidatingWebhooks(config Config) []*admissionac.ValidatingWebhookConfigurationApplyConfiguration {
	groups := chunks(config.listed())
	configurations := make([]*admissionac.ValidatingWebhookConfigurationApplyConfiguration, 0, len(groups))
	for i, namespaces := range groups {
		configuration := admissionac.ValidatingWebhookConfiguration(configurationName(i)).
			WithLabels(config.labels()).WithOwnerReferences(config.owners()...)
		if len(namespaces) > 0 {
			for _, entry := range append(roots(config), ephemeral()) {
				configuration.WithWebhooks(validating(config, namespaces, entry))
			}
		}
		configurations = append(configurations, configuration)
	}
	return configurations
}

// roots are the webhooks for everything that brings images, one for each path of the pod spec, as a webhook has one set of match
// conditions. ReplicaSets, Jobs and pods of a controller are among them: written by a tenant they are judged, see outsider.
func roots(config Config) []entry {
	entries := []entry{
		{
			name: "templates",
			rules: []*admissionac.RuleWithOperationsApplyConfiguration{
				rule("apps", "v1", "deployments", "statefulsets", "daemonsets", "replicasets"),
				rule("", "v1", "replicationcontrollers"),
				rule("batch", "v1", "jobs"),
			},
			conditions: conditions(config, typed("spec.template.spec", true)),
		},
		{
			name:       "cronjobs",
			rules:      []*admissionac.RuleWithOperationsApplyConfiguration{rule("batch", "v1", "cronjobs")},
			conditions: conditions(config, typed("spec.jobTemplate.spec.template.spec", true)),
		},
		{
			name:       "pods",
			rules:      []*admissionac.RuleWithOperationsApplyConfiguration{rule("", "v1", "pods")},
			conditions: conditions(config, typed("spec", false)),
		},
	}
	if config.ArgoRollouts {
		entries = append(entries, entry{
			name:       "argo",
			rules:      []*admissionac.RuleWithOperationsApplyConfiguration{rule("argoproj.io", "v1alpha1", "rollouts")},
			conditions: conditions(config, untyped()),
		})
	}
	for i := range entries {
		entries[i].policy = admissionv1.Fail
	}
	return entries
}

// ephemeral is the webhook that warns about the image of a debug container. Nobody must wait for it in an incident, so a labguard
// that does not answer is passed over.
func ephemeral() entry {
	return entry{
		name: "ephemeralcontainers",
		rules: []*admissionac.RuleWithOperationsApplyConfiguration{
			admissionac.RuleWithOperations().WithOperations(admissionv1.Update).
				WithAPIGroups("").WithAPIVersions("v1").WithResources("pods/ephemeralcontainers").WithScope(admissionv1.NamespacedScope),
		},
		conditions: []*admissionac.MatchConditionApplyConfiguration{
			condition("not-deleting", notDeleting),
			condition("containers", ephemeralChanged),
		},
		policy: admissionv1.Ignore,
	}
}

// conditions are the match conditions of everything that can bring an image.
func conditions(config Config, pod podSpec) []*admissionac.MatchConditionApplyConfiguration {
	return []*admissionac.MatchConditionApplyConfiguration{
		condition("not-deleting", notDeleting),
		condition("root", root(config)),
		condition("images-or-hold", imagesOrHold(pod)),
	}
}

// rule is for the main resources only: never scale, never status.
func rule(group, version string, resources ...string) *admissionac.RuleWithOperationsApplyConfiguration {
	return admissionac.RuleWithOperations().WithOperations(admissionv1.Create, admissionv1.Update).
		WithAPIGroups(group).WithAPIVersions(version).WithResources(resources...).WithScope(admissionv1.NamespacedScope)
}

func mutating(config Config, namespaces []string, entry entry) *admissionac.MutatingWebhookApplyConfiguration {
	return admissionac.MutatingWebhook().
		WithName(webhookName(entry)).
		WithClientConfig(config.Endpoint.Client(MutatePath, config.CABundle)).
		WithRules(entry.rules...).
		WithFailurePolicy(entry.policy).
		WithMatchPolicy(admissionv1.Equivalent).
		WithNamespaceSelector(namespaceSelector(namespaces)).
		WithObjectSelector(metav1ac.LabelSelector()). // owned, so that nobody narrows it
		WithSideEffects(admissionv1.SideEffectClassNoneOnDryRun).
		WithTimeoutSeconds(config.timeout()).
		WithAdmissionReviewVersions("v1").
		WithReinvocationPolicy(admissionv1.IfNeededReinvocationPolicy).
		WithMatchConditions(entry.conditions...)
}

func validating(config Config, namespaces []string, entry entry) *admissionac.ValidatingWebhookApplyConfiguration {
	return admissionac.ValidatingWebhook().
		WithName(webhookName(entry)).
		WithClientConfig(config.Endpoint.Client(ValidatePath, config.CABundle)).
		WithRules(entry.rules...).
		WithFailurePolicy(entry.policy).
		WithMatchPolicy(admissionv1.Equivalent).
		WithNamespaceSelector(namespaceSelector(namespaces)).
		WithObjectSelector(metav1ac.LabelSelector()). // owned, so that nobody narrows it
		WithSideEffects(admissionv1.SideEffectClassNoneOnDryRun).
		WithTimeoutSeconds(config.timeout()).
		WithAdmissionReviewVersions("v1").
		WithMatchConditions(entry.conditions...)
}

// webhookName is unique within a configuration and has three parts or more, as the API wants it.
func webhookName(entry entry) string {
	return entry.name + ".rollouts." + v1alpha1.GroupVersion.Group
}

func configurationName(index int) string {
	if index == 0 {
		return ConfigurationName
	}
	return fmt.Sprintf("%s-%d", ConfigurationName, index+1)
}

// chunks splits names; there is always a first chunk.
func chunks(names []string) [][]string {
	if len(names) == 0 {
		return [][]string{nil}
	}
	return slices.Collect(slices.Chunk(names, NamespacesPerConfiguration))
}
