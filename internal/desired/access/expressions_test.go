// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"testing"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	apiservercel "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/labguard/labguard/internal/desired/access"
)

// expression is one expression, with its name if it is a variable.
type expression struct {
	name, text string
	types      []*cel.Type
}

func (e expression) GetName() string          { return e.name }
func (e expression) GetExpression() string    { return e.text }
func (e expression) ReturnTypes() []*cel.Type { return e.types }

// evaluate says whether the expressions are true, in their order, by the API server's own evaluator.
func evaluate(t *testing.T, compiler *plugincel.CompositedCompiler, texts []string, who authenticationv1.UserInfo) []bool {
	t.Helper()
	accessors := make([]plugincel.ExpressionAccessor, 0, len(texts))
	for _, text := range texts {
		accessors = append(accessors, expression{text: text, types: []*cel.Type{cel.BoolType}})
	}
	condition := compiler.CompileCondition(accessors, plugincel.OptionalVariableDeclarations{}, environment.NewExpressions)
	if errors := condition.CompilationErrors(); len(errors) > 0 {
		t.Fatal(errors)
	}
	attributes := admission.NewAttributesRecord(nil, nil, schema.GroupVersionKind{}, "pathology", "lis-0", schema.GroupVersionResource{}, "exec",
		admission.Connect, nil, false, &user.DefaultInfo{Name: who.Username})
	request := &admissionv1.AdmissionRequest{UserInfo: who, Operation: admissionv1.Connect}
	results, _, err := condition.ForInput(t.Context(), &admission.VersionedAttributes{Attributes: attributes}, request,
		plugincel.OptionalVariableBindings{}, nil, apiservercel.RuntimeCELCostBudget)
	if err != nil {
		t.Fatal(err)
	}
	answers := make([]bool, 0, len(results))
	for _, result := range results {
		if result.Error != nil {
			t.Fatal(result.Error)
		}
		answers = append(answers, result.EvalResult.Value() == true)
	}
	return answers
}

// passes says what the policy answers to somebody: a request that does not match every condition is not asked.
func passes(t *testing.T, config access.Config, who authenticationv1.UserInfo) bool {
	t.Helper()
	spec := access.Policies(config)[0].Policy.Spec
	compiler, err := plugincel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		t.Fatal(err)
	}
	for _, variable := range spec.Variables {
		result := compiler.CompileAndStoreVariable(expression{name: *variable.Name, text: *variable.Expression, types: []*cel.Type{cel.AnyType, cel.DynType}},
			plugincel.OptionalVariableDeclarations{}, environment.NewExpressions)
		if result.Error != nil {
			t.Fatal(result.Error)
		}
	}
	var conditions []string
	for _, condition := range spec.MatchConditions {
		conditions = append(conditions, *condition.Expression)
	}
	for _, matches := range evaluate(t, compiler, conditions, who) {
		if !matches {
			return true
		}
	}
	return evaluate(t, compiler, []string{*spec.Validations[0].Expression}, who)[0]
}

func TestWhoPasses(t *testing.T) {
	said := func(key string, values ...string) map[string]authenticationv1.ExtraValue {
		return map[string]authenticationv1.ExtraValue{key: append(authenticationv1.ExtraValue{}, values...)}
	}
	for _, c := range []struct {
		name string
		who  authenticationv1.UserInfo
		want bool
	}{
		{"a login that says a method passes, whatever the method: the webhook decides", authenticationv1.UserInfo{Username: "anna", Extra: said("labguard.dev/amr", "pwd")}, true},
		{"so does one by the key of another provider", authenticationv1.UserInfo{Username: "anna", Extra: said("idp.example/amr", "mfa")}, true},
		{"a login that says an empty method does not", authenticationv1.UserInfo{Username: "anna", Extra: said("labguard.dev/amr", "")}, false},
		{"nor one that says no method", authenticationv1.UserInfo{Username: "anna", Extra: said("labguard.dev/amr")}, false},
		{"nor one that says something else", authenticationv1.UserInfo{Username: "anna", Extra: said("scopes", "mfa")}, false},
		{"an administrator by client certificate does not", authenticationv1.UserInfo{Username: "admin", Groups: []string{"system:masters"}}, false},
		{"the group for break glass does", authenticationv1.UserInfo{Username: "sealed", Groups: []string{"a", "site:emergency"}}, true},
		{"a group that only begins like it does not", authenticationv1.UserInfo{Username: "sealed", Groups: []string{"site:emergency2"}}, false},
		{"a listed ServiceAccount does", authenticationv1.UserInfo{Username: "system:serviceaccount:gitops:argo"}, true},
		{"a listed user does, with a quote in the name", authenticationv1.UserInfo{Username: "it's-a-robot"}, true},
		{"another ServiceAccount does not", authenticationv1.UserInfo{Username: "system:serviceaccount:gitops:other"}, false},
		{"the accounts of kube-system are not asked", authenticationv1.UserInfo{Username: "system:serviceaccount:kube-system:namespace-controller"}, true},
		{"a namespace that begins like it is", authenticationv1.UserInfo{Username: "system:serviceaccount:kube-system2:x"}, false},
		{"nodes are not asked", authenticationv1.UserInfo{Username: "system:node:one"}, true},
		{"nobody does not pass", authenticationv1.UserInfo{Username: "system:anonymous"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := passes(t, full(), c.who); got != c.want {
				t.Errorf("passes: %v", got)
			}
		})
	}
}
