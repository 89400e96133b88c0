// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/admission/plugin/policy/manifest/loader"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/access"
	"github.com/labguard/labguard/internal/desired/policy"
	"github.com/labguard/labguard/internal/testutil/golden"
)

func full() access.Config {
	return access.Config{
		Namespaces: []access.Namespace{
			{Name: "radiology", Access: access.Enforced, Change: access.Told}, {Name: "pathology", Access: access.Told, Change: access.Enforced},
			{Name: "pathology", Access: access.Enforced, Guarded: true}, {Name: "oncology", Access: access.Told, Change: access.Told}, {Name: "kitchen"}, {},
		},
		LabguardUser: "system:serviceaccount:labguard-system:labguard",
		Machines: []access.Machine{
			{Namespace: "gitops", Name: "argo"}, {User: "it's-a-robot"}, {User: "runner", Issuer: "https://ci.example"}, {User: "lost", Issuer: "https://nobody.example"}, {},
		},
		Providers: []access.Provider{
			{Issuer: "https://idp.example", Keys: v1alpha1.ClaimKeys{Methods: "idp.example/amr"}},
			{Issuer: "https://ci.example", Keys: v1alpha1.ClaimKeys{Issuer: "ci.example/iss"}},
		},
		BreakGlass:     "site:emergency",
		ArgoRollouts:   true,
		Endpoint:       policy.Endpoint{ServiceNamespace: "labguard-system", ServiceName: "labguard-webhook", ServicePort: 9443},
		CABundle:       []byte("CA"),
		TimeoutSeconds: 3,
		Anchor:         policy.Anchor{Name: "labguard-webhook-anchor", UID: "6b1e4d2a-0000-4000-8000-000000000000"},
	}
}

func outside() access.Config {
	return access.Config{
		Namespaces: []access.Namespace{{Name: "pathology", Access: access.Enforced, Change: access.Enforced, Guarded: true}}, LabguardUser: "labguard", Endpoint: policy.Endpoint{URL: "https://localhost:9443/"}, CABundle: []byte("CA"),
	}
}

func TestObjectsAreAsInTheGoldens(t *testing.T) {
	audit := outside()
	audit.Namespaces = []access.Namespace{{Name: "pathology", Access: access.Told, Change: access.Told}}
	audit.Machines = []access.Machine{{Namespace: "gitops", Name: "argo"}} // whose tokens nobody asks about where nothing is enforced
	for name, config := range map[string]access.Config{"full": full(), "outside": outside(), "audit": audit} {
		t.Run(name, func(t *testing.T) {
			var webhooks []any
			for _, configuration := range access.Webhooks(config) {
				webhooks = append(webhooks, configuration)
			}
			golden.YAML(t, name+"-webhooks", webhooks...)
			guard := access.BreakGlass(config)
			golden.YAML(t, name+"-break-glass", guard.Policy, guard.Bindings[0])
			for _, guard := range access.Policies(config) {
				golden.YAML(t, name+"-policy", guard.Policy, guard.Bindings[0])
			}
		})
	}
}

func TestTheFileForTheAPIServerIsTheSameButForNamesAndOwners(t *testing.T) {
	got, err := access.Static(full())
	if err != nil {
		t.Fatal(err)
	}
	without := full()
	without.Anchor = policy.Anchor{}
	guard := access.Policies(without)[0]
	guard.Policy.WithName(access.Name + access.StaticSuffix)
	guard.Bindings[0].WithName(access.Name + access.StaticSuffix)
	guard.Bindings[0].Spec.WithPolicyName(access.Name + access.StaticSuffix)
	var want strings.Builder
	for _, object := range []any{guard.Policy, guard.Bindings[0]} {
		document, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		want.WriteString("---\n" + string(document))
	}
	if diff := cmp.Diff(want.String(), got); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(got, "ownerReferences") {
		t.Error("the API server does not know the file as an object, so nothing can own it")
	}
}

// accept takes objects of one type as the API server's own plugin does, without its defaults.
func accept[T metav1.Object](object runtime.Object) ([]T, error) {
	if typed, ok := object.(T); ok {
		return []T{typed}, nil
	}
	return nil, loader.ErrUnrecognizedType
}

func TestTheLoaderOfTheAPIServerTakesTheFile(t *testing.T) {
	config := full()
	for i := range access.NamespacesPerObject {
		config.Namespaces = append(config.Namespaces, access.Namespace{Name: fmt.Sprint("n", i), Guarded: true})
	}
	text, err := access.Static(config)
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "labguard.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := admissionregistrationv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	policies, bindings, _, err := loader.LoadPolicyManifests(directory, decoder,
		accept[*admissionregistrationv1.ValidatingAdmissionPolicy], accept[*admissionregistrationv1.ValidatingAdmissionPolicyBinding],
		func(binding *admissionregistrationv1.ValidatingAdmissionPolicyBinding) string {
			return binding.Spec.PolicyName
		})
	if err != nil || len(policies) != 2 || len(bindings) != 2 {
		t.Errorf("%d policies, %d bindings, %v", len(policies), len(bindings), err)
	}
}

func TestOrderAndDoublesDoNotMatter(t *testing.T) {
	one, other := full(), full()
	slices.Reverse(one.Machines)
	slices.Reverse(one.Providers)
	one.Machines = append(one.Machines, one.Machines[0], access.Machine{Namespace: "gitops", Name: "argo"})
	slices.Reverse(one.Namespaces)
	one.Namespaces = append(one.Namespaces, one.Namespaces...)
	for name, build := range map[string]func(access.Config) any{
		"policies":    func(config access.Config) any { return access.Policies(config) },
		"webhooks":    func(config access.Config) any { return access.Webhooks(config) },
		"break glass": func(config access.Config) any { return access.BreakGlass(config) },
	} {
		if diff := cmp.Diff(build(one), build(other)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestNoNamespaceIsNoObjectAndEveryThousandHaveOneOfTheirOwn(t *testing.T) {
	for names, want := range map[int][]string{
		0: nil, 1000: {"labguard-access"}, 1001: {"labguard-access", "labguard-access-2"}, 2001: {"labguard-access", "labguard-access-2", "labguard-access-3"},
	} {
		config := access.Config{Machines: []access.Machine{{Namespace: "gitops", Name: "argo"}}}
		for i := range names {
			namespace := access.Namespace{Name: fmt.Sprintf("n%04d", i), Access: access.Enforced, Change: access.Enforced, Guarded: true}
			if i%2 == 1 {
				namespace.Change = access.Told
			}
			config.Namespaces = append(config.Namespaces, namespace)
		}
		var policies, configurations []string
		for _, pair := range access.Policies(config) {
			policies = append(policies, *pair.Policy.Name)
			if *pair.Bindings[0].Spec.PolicyName != *pair.Policy.Name {
				t.Errorf("the binding of %s is to %s", *pair.Policy.Name, *pair.Bindings[0].Spec.PolicyName)
			}
		}
		listed := map[string]int{}
		for _, configuration := range access.Webhooks(config) {
			configurations = append(configurations, *configuration.Name)
			for _, webhook := range configuration.Webhooks {
				short, _, _ := strings.Cut(*webhook.Name, ".")
				if len(webhook.NamespaceSelector.MatchExpressions) == 0 {
					listed[short]++
					continue
				}
				listed[short] += len(webhook.NamespaceSelector.MatchExpressions[0].Values)
			}
		}
		if diff := cmp.Diff(want, policies); diff != "" {
			t.Errorf("%d names: policies %s", names, diff)
		}
		if diff := cmp.Diff(want, configurations); diff != "" {
			t.Errorf("%d names: configurations %s", names, diff)
		}
		for _, name := range want {
			if !access.IsNumbered(name) {
				t.Errorf("%s would never be removed", name)
			}
		}
		if listed["break-glass"] != names || listed["access"] != names || listed["change"] != (names+1)/2 || listed["change-audit"] != names/2 || listed["posture"] != names || names > 0 && (listed["tokens"] != 1 || listed["platform"] != 1) {
			t.Errorf("%d names: %v", names, listed)
		}
	}
}

func TestOnlyNumberedNamesAreNumbered(t *testing.T) {
	for name, want := range map[string]bool{
		"labguard-access": true, "labguard-access-17": true, "labguard-access-": false, "labguard-access-02": false, "labguard-access-x": false,
		"labguard-access.static.k8s.io": false, "labguard-rollouts": false, access.BreakGlassName: false, "my-labguard-access": false,
	} {
		if got := access.IsNumbered(name); got != want {
			t.Errorf("IsNumbered(%q) = %v", name, got)
		}
	}
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	want := []access.Namespace{
		{Name: "oncology", Access: access.Told, Change: access.Told}, {Name: "pathology", Access: access.Enforced, Change: access.Enforced},
		{Name: "radiology", Access: access.Enforced, Change: access.Told},
	}
	var configuration admissionregistrationv1.ValidatingWebhookConfiguration
	as(t, access.Webhooks(full())[0], &configuration)
	if diff := cmp.Diff(want, access.Listed(&configuration)); diff != "" {
		t.Error(diff)
	}
	configuration.Name = "labguard-rollouts"
	if got := access.Listed(&configuration); got != nil {
		t.Errorf("a configuration of the rollout gate lists %v", got)
	}
	var guard admissionregistrationv1.ValidatingAdmissionPolicy
	as(t, access.Policies(full())[0].Policy, &guard)
	if diff := cmp.Diff([]string{"pathology"}, access.Guarded(&guard)); diff != "" {
		t.Error(diff)
	}
	config := full()
	config.Namespaces = append(config.Namespaces, access.Namespace{Name: "icu", Guarded: true})
	as(t, access.Policies(config)[0].Policy, &guard)
	if diff := cmp.Diff([]string{"icu", "pathology"}, access.Guarded(&guard)); diff != "" {
		t.Error(diff)
	}
	guard.Name = "labguard-reserved"
	if got := access.Guarded(&guard); got != nil {
		t.Errorf("another policy guards the ways into pods of %v", got)
	}
}

// as turns an intent into an object as the API server has it.
func as(t *testing.T, intent, object any) {
	t.Helper()
	text, err := yaml.Marshal(intent)
	if err == nil {
		err = yaml.UnmarshalStrict(text, object)
	}
	if err != nil {
		t.Fatal(err)
	}
}
