// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"cmp"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/policy"
)

const (
	// ValidatePath is the path of the webhook that decides about people.
	ValidatePath = "/validate-access"
	// ObservePath is the path of the webhook that is told of the uses of break glass, and lets all of them through.
	ObservePath = "/observe-break-glass"
	// observeTimeoutSeconds is how long a request may wait where the answer refuses nothing.
	observeTimeoutSeconds int32 = 1

	// accessName and changeName are the first parts of names of webhooks, with told behind them where nothing is enforced.
	accessName, changeName, postureName = "access", "change", "posture"
	told                                = "-audit"
)

// suffix ends the name of every webhook about people.
var suffix = ".people." + v1alpha1.GroupVersion.Group

// webhook is one webhook of a configuration.
type webhook struct {
	// name is the first part of its name. It stands before the audit annotations of its answers.
	name       string
	path       string
	rules      []*admissionac.RuleWithOperationsApplyConfiguration
	conditions []*admissionac.MatchConditionApplyConfiguration
	namespaces []string
	// everywhere says that namespaces do not matter.
	everywhere bool
	// open says that a request goes through if nobody answers.
	open bool
}

// Webhooks gives the webhook configurations, each for NamespacesPerObject namespaces in which people are asked for something; none without such a
// namespace. The first has those about tokens and what belongs to the platform, too.
func Webhooks(config Config) []*admissionac.ValidatingWebhookConfigurationApplyConfiguration {
	asking := slices.DeleteFunc(config.asking(), func(n Namespace) bool { return n.Access == Nothing && n.Change == Nothing })
	var configurations []*admissionac.ValidatingWebhookConfigurationApplyConfiguration
	for namespaces := range slices.Chunk(asking, NamespacesPerObject) {
		webhooks := people(config, namespaces)
		if len(configurations) == 0 && slices.ContainsFunc(asking, Namespace.enforced) {
			webhooks = append(webhooks, append(tokens(config), platform(config)...)...)
		}
		configuration := admissionac.ValidatingWebhookConfiguration(number(len(configurations))).
			WithLabels(policy.Labels()).WithOwnerReferences(config.Anchor.Owners()...)
		for _, one := range webhooks {
			if len(one.namespaces) > 0 || one.everywhere { // an empty list of names is no selector
				configuration.WithWebhooks(one.configured(config))
			}
		}
		configurations = append(configurations, configuration)
	}
	return configurations
}

// people are the webhooks about ways into pods and about changes. What is only told is in webhooks of its own, which refuse nothing while labguard does not
// answer.
func people(config Config, namespaces []Namespace) []webhook {
	asked := []*admissionac.MatchConditionApplyConfiguration{config.notBreakGlass(), config.notKubernetes()}
	working := append(slices.Clone(asked), config.notAMachine())
	access, change, own := accessRules(), changeRules(config), postureRules()
	of := func(what func(Namespace) Asked, how Asked) []string {
		return names(namespaces, func(n Namespace) bool { return what(n) == how })
	}
	toAccess, toChange := func(n Namespace) Asked { return n.Access }, func(n Namespace) Asked { return n.Change }
	toEither := func(n Namespace) Asked { return max(n.Access, n.Change) }
	return []webhook{
		{name: accessName, path: ValidatePath, rules: access, conditions: asked, namespaces: of(toAccess, Enforced)},
		{name: changeName, path: ValidatePath, rules: change, conditions: working, namespaces: of(toChange, Enforced)},
		{name: postureName, path: ValidatePath, rules: own, conditions: working, namespaces: of(toEither, Enforced)},
		{name: accessName + told, path: ValidatePath, rules: access, conditions: asked, namespaces: of(toAccess, Told), open: true},
		{name: changeName + told, path: ValidatePath, rules: change, conditions: working, namespaces: of(toChange, Told), open: true},
		{name: postureName + told, path: ValidatePath, rules: own, conditions: working, namespaces: of(toEither, Told), open: true},
		{name: "break-glass", path: ObservePath, rules: slices.Concat(access, change, own), conditions: []*admissionac.MatchConditionApplyConfiguration{
			policy.Condition("break-glass", config.breakGlassMember()),
		}, namespaces: names(namespaces, func(Namespace) bool { return true }), open: true},
	}
}

// tokens are the webhooks about tokens of listed ServiceAccounts and of labguard's own, which writes what runs in governed namespaces. Their namespaces are none in which
// anything else is asked.
func tokens(config Config) []webhook {
	var namespaces, accounts []string
	for _, user := range config.users() {
		rest, _ := strings.CutPrefix(user, serviceAccountPrefix)
		if namespace, name, isAccount := strings.Cut(rest, ":"); isAccount && rest != user {
			namespaces = append(namespaces, namespace)
			accounts = append(accounts, namespace+"/"+name)
		}
	}
	rules := []*admissionac.RuleWithOperationsApplyConfiguration{rule([]admissionv1.OperationType{admissionv1.Create}, "", "v1", "serviceaccounts/token")}
	listed := policy.Condition("listed", "request.?namespace.orValue('') + '/' + request.?name.orValue('') in "+policy.QuoteAll(once(accounts)))
	return []webhook{
		{name: "tokens", path: ValidatePath, rules: rules, namespaces: once(namespaces), conditions: []*admissionac.MatchConditionApplyConfiguration{
			config.notBreakGlass(), listed, config.notKubernetes(), config.notAMachine(),
		}},
		{name: "break-glass-tokens", path: ObservePath, rules: rules, namespaces: once(namespaces), conditions: []*admissionac.MatchConditionApplyConfiguration{
			policy.Condition("break-glass", config.breakGlassMember()), listed,
		}, open: true},
	}
}

// platform are the webhooks about what answers rest on, wherever it stands: who is believed, who is trained, and who takes note of an emergency.
func platform(config Config) []webhook {
	group, version := v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version
	rules := []*admissionac.RuleWithOperationsApplyConfiguration{
		rule(writes, group, version, "identityproviders", "trainingrecords").WithScope(admissionv1.ClusterScope),
		rule([]admissionv1.OperationType{admissionv1.Update}, group, version, "breakglassuses"),
	}
	return []webhook{
		{name: "platform", path: ValidatePath, rules: rules, everywhere: true, conditions: []*admissionac.MatchConditionApplyConfiguration{
			config.notBreakGlass(), config.notKubernetes(), config.notAMachine(),
		}},
		{name: "break-glass-platform", path: ObservePath, rules: rules[:1], everywhere: true, conditions: []*admissionac.MatchConditionApplyConfiguration{
			policy.Condition("break-glass", config.breakGlassMember()),
		}, open: true},
	}
}

func accessRules() []*admissionac.RuleWithOperationsApplyConfiguration {
	return []*admissionac.RuleWithOperationsApplyConfiguration{
		rule([]admissionv1.OperationType{admissionv1.Connect}, "", "v1", ways...),
		rule([]admissionv1.OperationType{admissionv1.Update}, "", "v1", debugging),
	}
}

// postureRules are what labguard asks for. What is written there decides about ways into pods and about changes alike. Records of break glass have a policy, and a
// webhook for the whole cluster.
func postureRules() []*admissionac.RuleWithOperationsApplyConfiguration {
	return []*admissionac.RuleWithOperationsApplyConfiguration{
		rule(writes, v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version, "labworkloads", "airlockprofiles", "rolloutrecords"),
	}
}

var writes = []admissionv1.OperationType{admissionv1.Create, admissionv1.Update, admissionv1.Delete}

// changeRules are what runs, what leads to it, and who may change it. Subresources are left out: of all that somebody with the
// role edit may write, scale alone changes what runs, and only how many there are of it.
func changeRules(config Config) []*admissionac.RuleWithOperationsApplyConfiguration {
	rules := []*admissionac.RuleWithOperationsApplyConfiguration{
		rule(writes, "", "v1", "pods", "replicationcontrollers", "services", "endpoints"),
		rule(writes, "apps", "v1", "deployments", "statefulsets", "daemonsets", "replicasets"),
		rule(writes, "batch", "v1", "jobs", "cronjobs"),
		rule(writes, "discovery.k8s.io", "v1", "endpointslices"),
		rule(writes, "networking.k8s.io", "v1", "networkpolicies"),
		rule(writes, "rbac.authorization.k8s.io", "v1", "roles", "rolebindings"),
	}
	if config.ArgoRollouts {
		rules = append(rules, rule(writes, "argoproj.io", "v1alpha1", "rollouts"))
	}
	return rules
}

func rule(operations []admissionv1.OperationType, group, version string, resources ...string) *admissionac.RuleWithOperationsApplyConfiguration {
	return admissionac.RuleWithOperations().WithOperations(operations...).
		WithAPIGroups(group).WithAPIVersions(version).WithResources(resources...).WithScope(admissionv1.NamespacedScope)
}

func (w webhook) configured(config Config) *admissionac.ValidatingWebhookApplyConfiguration {
	failure, timeout := admissionv1.Fail, cmp.Or(config.TimeoutSeconds, DefaultTimeoutSeconds)
	if w.open {
		failure, timeout = admissionv1.Ignore, observeTimeoutSeconds
	}
	selector := metav1ac.LabelSelector()
	if !w.everywhere {
		selector.WithMatchExpressions(metav1ac.LabelSelectorRequirement().WithKey(corev1.LabelMetadataName).WithOperator(metav1.LabelSelectorOpIn).WithValues(w.namespaces...))
	}
	return admissionac.ValidatingWebhook().
		WithName(w.name + suffix).
		WithClientConfig(config.Endpoint.Client(w.path, config.CABundle)).
		WithRules(w.rules...).
		WithFailurePolicy(failure).
		WithMatchPolicy(admissionv1.Equivalent).
		WithNamespaceSelector(selector).
		WithObjectSelector(metav1ac.LabelSelector()). // owned, so that nobody narrows it; another one would never match a CONNECT
		WithSideEffects(admissionv1.SideEffectClassNoneOnDryRun).
		WithTimeoutSeconds(timeout).
		WithAdmissionReviewVersions("v1").
		WithMatchConditions(w.conditions...)
}
