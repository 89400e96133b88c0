// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/internal/desired/policy"
)

// StaticSuffix ends the name of whatever the API server reads from a file. The API refuses such names.
const StaticSuffix = ".static.k8s.io"

// numbered are the names of the objects that are there for each NamespacesPerObject namespaces.
var numbered = regexp.MustCompile(`^` + Name + `(-[1-9][0-9]*)?$`)

// IsNumbered says whether a policy, a binding or a webhook configuration is one of those that are there for each NamespacesPerObject namespaces.
func IsNumbered(name string) bool { return numbered.MatchString(name) }

func number(index int) string {
	if index == 0 {
		return Name
	}
	return fmt.Sprintf("%s-%d", Name, index+1)
}

// Policies gives the policies with their bindings, each for NamespacesPerObject guarded namespaces.
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

func build(config Config, ending string) []policy.Validating {
	var policies []policy.Validating
	for namespaces := range slices.Chunk(names(config.asking(), func(n Namespace) bool { return n.Guarded }), NamespacesPerObject) {
		policies = append(policies, policy.Denying(number(len(policies))+ending, config.Anchor, spec(config, namespaces)))
	}
	return policies
}

// spec names the namespaces in a condition: the API server parses a selector with all the names for every write of anything in the cluster, and looks at a
// condition only for what the rules match.
func spec(config Config, namespaces []string) *admissionac.ValidatingAdmissionPolicySpecApplyConfiguration {
	return admissionac.ValidatingAdmissionPolicySpec().
		WithFailurePolicy(admissionv1.Fail).
		WithMatchConstraints(policy.Everywhere(
			policy.Rule([]admissionv1.OperationType{admissionv1.Connect}, "", "v1", ways...),
			policy.Rule([]admissionv1.OperationType{admissionv1.Update}, "", "v1", debugging),
		)).
		WithMatchConditions(
			config.notBreakGlass(),
			isGoverned(namespaces),
			config.notKubernetes(),
		).
		WithVariables(
			policy.Variable("machine", username+" in "+policy.QuoteAll(config.users())),
			policy.Variable("loggedIn", config.shows()),
		).
		WithValidations(policy.Forbid("variables.machine || variables.loggedIn", message))
}

// users are the user names of labguard and of all listed machines, whatever has to come with the name.
func (c Config) users() []string {
	names := []string{c.LabguardUser}
	for _, machine := range c.Machines {
		names = append(names, machine.user())
	}
	return once(names)
}

// message is what a person reads who is refused; the webhook knows more, but may not have been asked.
const message = "labguard guards the pods of this namespace: log in with a second factor at your identity provider and try again; " +
	"client certificates and ServiceAccounts say nothing about a login, so only those that the operator's configuration lists pass"

// ways is every way into a pod that admission sees as CONNECT. Subresources are listed one by one, as a wildcard does not include them
// (kubernetes/kubernetes#115523). There is no selector of objects: it would never match a CONNECT, whose object has no labels.
var ways = []string{"pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy"}

// debugging is the way into a pod by a container that is added to it.
const debugging = "pods/ephemeralcontainers"
