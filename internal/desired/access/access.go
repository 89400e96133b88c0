// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/internal/desired/policy"
)

const (
	// Name is the name of the first policy and of its binding.
	Name = "labguard-access"
	// StaticSuffix ends the name of whatever the API server reads from a file. The API refuses such names.
	StaticSuffix = ".static.k8s.io"
	// DefaultBreakGlass is the group that is never asked, unless the configuration names another.
	DefaultBreakGlass = "labguard:break-glass"
	// DefaultMethodsKey is the key of userInfo.extra in which the methods of a login arrive, unless a provider names another.
	DefaultMethodsKey = "labguard.dev/amr"
	// NamespacesPerPolicy bounds the names in one policy, so that it stays far below the size of an object.
	NamespacesPerPolicy = 1000
)

// Config is what the policy depends on. The order of the lists, and names that are there twice, change nothing.
type Config struct {
	// Namespaces is the governed namespaces. The policy knows them by name, as whoever may label a namespace could take a label off.
	Namespaces []string
	// Machines is the user names that pass without a login, such as system:serviceaccount:gitops:argo.
	Machines []string
	// BreakGlass is the group that passes without being asked. Empty means DefaultBreakGlass.
	BreakGlass string
	// MethodsKeys is the keys of userInfo.extra in which the methods of a login arrive, of all providers. Empty means DefaultMethodsKey.
	MethodsKeys []string
	// Anchor owns the policies, but for those in a file.
	Anchor policy.Anchor
}

// Policies gives the policies with their bindings, each for NamespacesPerPolicy namespaces; none without namespaces, as an empty list of names is
// no selector.
func Policies(config Config) []policy.Validating {
	return build(config, "")
}

// Static gives the same policies as the text of a file for the staticManifestsDir of the plugin ValidatingAdmissionPolicy. It has no owner, as the
// API server does not know it as an object, and no parameters, which files may not have.
func Static(config Config) (string, error) {
	config.Anchor = policy.Anchor{}
	var text bytes.Buffer
	for _, pair := range build(config, StaticSuffix) {
		for _, object := range []any{pair.Policy, pair.Bindings[0]} {
			document, err := yaml.Marshal(object)
			if err != nil {
				return "", fmt.Errorf("write the policy %s: %w", Name, err)
			}
			text.WriteString("---\n")
			text.Write(document)
		}
	}
	return text.String(), nil
}

func build(config Config, suffix string) []policy.Validating {
	var policies []policy.Validating
	for namespaces := range slices.Chunk(once(config.Namespaces), NamespacesPerPolicy) {
		name := Name
		if len(policies) > 0 {
			name = fmt.Sprintf("%s-%d", Name, len(policies)+1)
		}
		policies = append(policies, policy.Denying(name+suffix, config.Anchor, spec(config, namespaces)))
	}
	return policies
}

func spec(config Config, namespaces []string) *admissionac.ValidatingAdmissionPolicySpecApplyConfiguration {
	return admissionac.ValidatingAdmissionPolicySpec().
		WithFailurePolicy(admissionv1.Fail).
		WithMatchConstraints(policy.Everywhere(ways()...).WithNamespaceSelector(named(namespaces))).
		WithMatchConditions(
			policy.Condition("not-break-glass", notBreakGlass(cmp.Or(config.BreakGlass, DefaultBreakGlass))),
			policy.Condition("not-kubernetes", notKubernetes),
		).
		WithVariables(
			policy.Variable("machine", "request.userInfo.username in "+policy.QuoteAll(once(config.Machines))),
			policy.Variable("loggedIn", loggedIn(config.MethodsKeys)),
		).
		WithValidations(policy.Forbid("variables.machine || variables.loggedIn", message))
}

// message is what a person reads who is refused; the webhook knows more, but may not have been asked.
const message = "labguard guards the pods of this namespace: log in with a second factor at your identity provider and try again; " +
	"client certificates and ServiceAccounts say nothing about a login, so only those that the operator's configuration lists pass"

// ways is every way into a pod that admission sees. Subresources are listed one by one, as a wildcard does not include them
// (kubernetes/kubernetes#115523). There is no selector of objects: it would never match a CONNECT, whose object has no labels.
func ways() []*admissionac.NamedRuleWithOperationsApplyConfiguration {
	return []*admissionac.NamedRuleWithOperationsApplyConfiguration{
		policy.Rule([]admissionv1.OperationType{admissionv1.Connect}, "", "v1",
			"pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy"),
		policy.Rule([]admissionv1.OperationType{admissionv1.Update}, "", "v1", "pods/ephemeralcontainers"),
	}
}

// notKubernetes is false for the control plane, nodes and accounts of kube-system, which are never asked. A request of nobody is asked.
const notKubernetes = "request.userInfo.username == 'system:anonymous'\n" +
	"  || !request.userInfo.username.startsWith('system:')\n" +
	"  || (request.userInfo.username.startsWith('system:serviceaccount:')\n" +
	"    && !request.userInfo.username.startsWith('system:serviceaccount:kube-system:'))"

// notBreakGlass is false for members of the group. As a match condition it is decided before anything that could fail.
func notBreakGlass(group string) string {
	return "!(has(request.userInfo.groups) && " + policy.Quote(group) + " in request.userInfo.groups)"
}

// loggedIn is true if one of the keys has a value that is not empty.
func loggedIn(keys []string) string {
	if len(keys) == 0 {
		keys = []string{DefaultMethodsKey}
	}
	return "has(request.userInfo.extra)\n  && " + policy.QuoteAll(once(keys)) + ".exists(k, k in request.userInfo.extra\n" +
		"    && request.userInfo.extra[k].exists(v, v != ''))"
}

func named(namespaces []string) *metav1ac.LabelSelectorApplyConfiguration {
	return metav1ac.LabelSelector().WithMatchExpressions(metav1ac.LabelSelectorRequirement().
		WithKey(corev1.LabelMetadataName).WithOperator(metav1.LabelSelectorOpIn).WithValues(namespaces...))
}

// once sorts and takes out what is empty or there twice.
func once(texts []string) []string {
	kept := slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return strings.TrimSpace(text) == "" })
	slices.Sort(kept)
	return slices.Compact(kept)
}
