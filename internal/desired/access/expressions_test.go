// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"context"
	"testing"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	apiservercel "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/cel/environment"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"

	"github.com/labguard/labguard/internal/desired/access"
	"github.com/labguard/labguard/internal/desired/policy"
)

// expression is one expression, with its name if it is a variable.
type expression struct {
	name, text string
	types      []*cel.Type
}

func (e expression) GetName() string          { return e.name }
func (e expression) GetExpression() string    { return e.text }
func (e expression) ReturnTypes() []*cel.Type { return e.types }

// program is expressions that the API server's own compiler has taken.
type program struct{ evaluator plugincel.ConditionEvaluator }

func compile(t testing.TB, variables []admissionac.VariableApplyConfiguration, texts ...string) program {
	t.Helper()
	compiler, err := plugincel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		t.Fatal(err)
	}
	declared := plugincel.OptionalVariableDeclarations{HasAuthorizer: true}
	for _, variable := range variables {
		result := compiler.CompileAndStoreVariable(
			expression{name: *variable.Name, text: *variable.Expression, types: []*cel.Type{cel.AnyType, cel.DynType}}, declared, environment.NewExpressions)
		if result.Error != nil {
			t.Fatal(result.Error)
		}
	}
	accessors := make([]plugincel.ExpressionAccessor, 0, len(texts))
	for _, text := range texts {
		accessors = append(accessors, expression{text: text, types: []*cel.Type{cel.BoolType}})
	}
	evaluator := compiler.CompileCondition(accessors, declared, environment.NewExpressions)
	if errors := evaluator.CompilationErrors(); len(errors) > 0 {
		t.Fatal(errors)
	}
	return program{evaluator}
}

// may is an authorizer that says the same of everything.
type may bool

func (m may) Authorize(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	if m {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// failer is what both tests and properties end with.
type failer interface {
	Helper()
	Fatal(args ...any)
}

// on says whether the expressions are true of a request, in their order.
func (p program) on(t failer, request admissionv1.AdmissionRequest, allowed may, object, old runtime.Object) []bool {
	t.Helper()
	attributes := admission.NewAttributesRecord(object, old, schema.GroupVersionKind{}, request.Namespace, request.Name, schema.GroupVersionResource{},
		request.SubResource, admission.Operation(request.Operation), nil, false, &user.DefaultInfo{Name: request.UserInfo.Username})
	results, _, err := p.evaluator.ForInput(context.Background(),
		&admission.VersionedAttributes{Attributes: attributes, VersionedObject: admission.NewLazyObject(object), VersionedOldObject: admission.NewLazyObject(old)}, &request,
		plugincel.OptionalVariableBindings{Authorizer: allowed}, nil, apiservercel.RuntimeCELCostBudget)
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

func all(answers []bool) bool {
	for _, answer := range answers {
		if !answer {
			return false
		}
	}
	return true
}

func texts(conditions []admissionac.MatchConditionApplyConfiguration) []string {
	var found []string
	for _, condition := range conditions {
		found = append(found, *condition.Expression)
	}
	return found
}

// rules is a policy that has been compiled.
type rules struct {
	conditions, validations program
	messages                []string
}

func compiled(t testing.TB, one policy.Validating) rules {
	t.Helper()
	spec := one.Policy.Spec
	var validations, messages []string
	for _, validation := range spec.Validations {
		validations, messages = append(validations, *validation.Expression), append(messages, *validation.Message)
	}
	return rules{compile(t, spec.Variables, texts(spec.MatchConditions)...), compile(t, spec.Variables, validations...), messages}
}

// refusals are the messages of what a policy says against a request, which it is not asked about unless every condition matches.
func (r rules) refusals(t failer, request admissionv1.AdmissionRequest, allowed may, object, old runtime.Object) []string {
	t.Helper()
	if !all(r.conditions.on(t, request, allowed, object, old)) {
		return nil
	}
	var refused []string
	for i, holds := range r.validations.on(t, request, allowed, object, old) {
		if !holds {
			refused = append(refused, r.messages[i])
		}
	}
	return refused
}

func execBy(who authenticationv1.UserInfo, namespace string) admissionv1.AdmissionRequest {
	return admissionv1.AdmissionRequest{UserInfo: who, Operation: admissionv1.Connect, Namespace: namespace, Name: "lis-0", SubResource: "exec"}
}

func said(key string, values ...string) map[string]authenticationv1.ExtraValue {
	return map[string]authenticationv1.ExtraValue{key: append(authenticationv1.ExtraValue{}, values...)}
}

func TestWhoPassesThePolicy(t *testing.T) {
	passes := compiled(t, access.Policies(full())[0])
	accounts := func(namespace string) []string {
		return []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}
	}
	for _, c := range []struct {
		name string
		who  authenticationv1.UserInfo
		want bool
	}{
		{"a login that says a method passes, whatever the method: the webhook decides", authenticationv1.UserInfo{Username: "anna", Extra: said("labguard.dev/amr", "pwd")}, true},
		{"so does one that says a class alone, as some providers do", authenticationv1.UserInfo{Username: "anna", Extra: said("labguard.dev/acr", "gold")}, true},
		{"so does one by the key of another provider", authenticationv1.UserInfo{Username: "anna", Extra: said("idp.example/amr", "mfa")}, true},
		{"a login that says an empty method does not", authenticationv1.UserInfo{Username: "anna", Extra: said("labguard.dev/amr", "")}, false},
		{"nor one that says no method", authenticationv1.UserInfo{Username: "anna", Extra: said("labguard.dev/amr")}, false},
		{"nor one that says something else", authenticationv1.UserInfo{Username: "anna", Extra: said("scopes", "mfa")}, false},
		{"an administrator by client certificate does not", authenticationv1.UserInfo{Username: "admin", Groups: []string{"system:masters"}}, false},
		{"nor one whose name begins as those of Kubernetes do", authenticationv1.UserInfo{Username: "system:admin", Groups: []string{"system:masters"}}, false},
		{"the group for break glass does", authenticationv1.UserInfo{Username: "sealed", Groups: []string{"a", "site:emergency"}}, true},
		{"a group that only begins like it does not", authenticationv1.UserInfo{Username: "sealed", Groups: []string{"site:emergency2"}}, false},
		{"a listed ServiceAccount does", authenticationv1.UserInfo{Username: "system:serviceaccount:gitops:argo", Groups: accounts("gitops")}, true},
		{"a listed user does, with a quote in the name", authenticationv1.UserInfo{Username: "it's-a-robot"}, true},
		{"another ServiceAccount does not", authenticationv1.UserInfo{Username: "system:serviceaccount:gitops:other", Groups: accounts("gitops")}, false},
		{"the accounts of kube-system are not asked", authenticationv1.UserInfo{Username: "system:serviceaccount:kube-system:namespace-controller", Groups: accounts("kube-system")}, true},
		{"a login with such a name is", authenticationv1.UserInfo{Username: "system:serviceaccount:kube-system:namespace-controller"}, false},
		{"a namespace that begins like it is", authenticationv1.UserInfo{Username: "system:serviceaccount:kube-system2:x", Groups: accounts("kube-system2")}, false},
		{"nodes are not asked", authenticationv1.UserInfo{Username: "system:node:one", Groups: []string{"system:nodes"}}, true},
		{"a login with the name of one is", authenticationv1.UserInfo{Username: "system:node:one"}, false},
		{"the scheduler is not asked", authenticationv1.UserInfo{Username: "system:kube-scheduler"}, true},
		{"nobody does not pass", authenticationv1.UserInfo{Username: "system:anonymous"}, false},
		{"nor does nothing at all", authenticationv1.UserInfo{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := passes.refusals(t, execBy(c.who, "pathology"), false, nil, nil); (len(got) == 0) != c.want {
				t.Errorf("refused: %v", got)
			}
			if got := passes.refusals(t, execBy(c.who, "kitchen"), false, nil, nil); len(got) > 0 {
				t.Errorf("refused where nothing is guarded: %v", got)
			}
		})
	}
}
