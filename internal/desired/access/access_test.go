// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/admission/plugin/policy/manifest/loader"

	"github.com/labguard/labguard/internal/desired/access"
	"github.com/labguard/labguard/internal/desired/policy"
	"github.com/labguard/labguard/internal/testutil/golden"
)

func full() access.Config {
	return access.Config{
		Namespaces:  []string{"radiology", "pathology", "radiology"},
		Machines:    []string{"system:serviceaccount:gitops:argo", "it's-a-robot"},
		MethodsKeys: []string{"labguard.dev/amr", "idp.example/amr"},
		BreakGlass:  "site:emergency",
		Anchor:      policy.Anchor{Name: "labguard-webhook-anchor", UID: "6b1e4d2a-0000-4000-8000-000000000000"},
	}
}

func TestPoliciesAreAsInTheGoldens(t *testing.T) {
	for name, config := range map[string]access.Config{"full": full(), "defaults": {Namespaces: []string{"pathology"}}} {
		t.Run(name, func(t *testing.T) {
			policies := access.Policies(config)
			if len(policies) != 1 {
				t.Fatal(len(policies))
			}
			golden.YAML(t, name, policies[0].Policy, policies[0].Bindings[0])
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
	policies := access.Policies(without)
	policies[0].Policy.WithName(access.Name + access.StaticSuffix)
	policies[0].Bindings[0].WithName(access.Name + access.StaticSuffix)
	policies[0].Bindings[0].Spec.WithPolicyName(access.Name + access.StaticSuffix)
	golden.YAML(t, "static", policies[0].Policy, policies[0].Bindings[0])
	want, err := os.ReadFile(filepath.Join("testdata", "static.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
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
	for i := range access.NamespacesPerPolicy {
		config.Namespaces = append(config.Namespaces, fmt.Sprint("n", i))
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
	one.Machines, other.Machines = []string{"a", "b"}, []string{"b", "a", "", "b"}
	one.MethodsKeys, other.MethodsKeys = []string{"x/y", "z/y"}, []string{"z/y", "x/y", "x/y"}
	one.Namespaces, other.Namespaces = []string{"a", "b"}, []string{"b", "a", "a"}
	if diff := cmp.Diff(access.Policies(one), access.Policies(other)); diff != "" {
		t.Error(diff)
	}
}

func TestNoNamespaceIsNoPolicyAndEveryThousandHaveOneOfTheirOwn(t *testing.T) {
	for names, want := range map[int][]string{
		0: nil, 1000: {"labguard-access"}, 1001: {"labguard-access", "labguard-access-2"},
	} {
		var config access.Config
		for i := range names {
			config.Namespaces = append(config.Namespaces, fmt.Sprint("n", i))
		}
		var got []string
		for _, pair := range access.Policies(config) {
			got = append(got, *pair.Policy.Name)
			if *pair.Bindings[0].Spec.PolicyName != *pair.Policy.Name {
				t.Errorf("the binding of %s is to %s", *pair.Policy.Name, *pair.Bindings[0].Spec.PolicyName)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d names: %s", names, diff)
		}
	}
}
