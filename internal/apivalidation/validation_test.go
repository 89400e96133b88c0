// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m, cluster.WithCRDs("../../config/crd/bases"))) }

// A rule is one thing that the schema demands.
type rule struct {
	name string
	// accepted are specs that keep the rule, as YAML. They are laid over base, field by field at the top.
	accepted []string
	// refused are specs that break it.
	refused []refusal
}

// A refusal is a spec that is refused, and what the message says.
type refusal struct {
	spec string
	// field is the path that the message names, without the leading "spec.".
	field string
	// says is the part of the message that tells what would be right.
	says string
	// notInSpec says that the message is about the object, and names no field of the spec.
	notInSpec bool
}

const base = "selector: {matchLabels: {app: lis}}"

// client is for objects that are not kept.
func client(t *testing.T, resource string) dynamic.ResourceInterface {
	t.Helper()
	return clientIn(t, resource, metav1.NamespaceDefault)
}

func clientIn(t *testing.T, resource, namespace string) dynamic.ResourceInterface {
	t.Helper()
	c, err := dynamic.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	return c.Resource(v1alpha1.GroupVersion.WithResource(resource)).Namespace(namespace)
}

// create asks the API server whether it would take the object, which it then does not keep. As with kubectl, an unknown field is an error.
func create(t *testing.T, c dynamic.ResourceInterface, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	t.Helper()
	options := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}
	return c.Create(t.Context(), object, options)
}

// labWorkload is base with the fields of spec laid over it.
func labWorkload(t *testing.T, spec string) *unstructured.Unstructured {
	t.Helper()
	fields := map[string]any{}
	for _, text := range []string{base, spec} {
		if err := yaml.Unmarshal([]byte(text), &fields); err != nil {
			t.Fatalf("the test's own YAML: %v\n%s", err, text)
		}
	}
	return object("LabWorkload", fields)
}

func object(kind string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(),
		"kind":       kind,
		"metadata":   map[string]any{"name": "lis"},
		"spec":       spec,
	}}
}

// refuses checks that the API server refuses the object as invalid, names the field and says what would be right. It returns the refusal.
func refuses(t *testing.T, c dynamic.ResourceInterface, object *unstructured.Unstructured, want refusal) string {
	t.Helper()
	_, err := create(t, c, object)
	if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
		t.Errorf("the answer to\n%s\nis %v, want a refusal that says %q", want.spec, err, want.says)
		return ""
	}
	path := strings.TrimSuffix("spec."+want.field, ".")
	if want.notInSpec {
		path = want.field
	}
	for _, part := range []string{path, want.says} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the refusal of\n%s\ndoes not say %q:\n%v", want.spec, part, err)
		}
	}
	return err.Error()
}

func TestRulesOfLabWorkload(t *testing.T) {
	c := client(t, "labworkloads")
	var refusals strings.Builder
	for _, r := range slices.Concat(selectionRules(), portsRules(), addressesRules(), egressRules(), certificatesRules(), agesRules(), exemptionsRules(), sidecarRules(), trainingRules(), mfaRules()) {
		t.Run(r.name, func(t *testing.T) {
			if len(r.accepted) == 0 || len(r.refused) == 0 {
				t.Fatal("a rule needs an object that passes and one that fails")
			}
			for _, spec := range r.accepted {
				if _, err := create(t, c, labWorkload(t, spec)); err != nil {
					t.Errorf("not accepted:\n%s\n%v", spec, err)
				}
			}
			for _, want := range r.refused {
				refusals.WriteString(refuses(t, c, labWorkload(t, want.spec), want))
			}
		})
	}
	t.Run("no CEL rule of the spec is without a test", func(t *testing.T) {
		messages := messagesOfSpec(t, "../../config/crd/bases/labguard.dev_labworkloads.yaml")
		if len(messages) < 20 {
			t.Fatalf("found %d rules, which cannot be all of them: %q", len(messages), messages)
		}
		for _, message := range messages {
			if !strings.Contains(refusals.String(), message) {
				t.Errorf("no object above broke the rule %q", message)
			}
		}
	})
}

// messagesOfSpec returns the messages of all CEL rules in the schema of a CRD's spec.
func messagesOfSpec(t *testing.T, path string) []string {
	t.Helper()
	return messages(schemaOf(t, path).Properties["spec"])
}

// allMessages returns the messages of all CEL rules in the schema of a CRD.
func allMessages(t *testing.T, path string) []string {
	t.Helper()
	return messages(*schemaOf(t, path))
}

func schemaOf(t *testing.T, path string) *apiextensionsv1.JSONSchemaProps {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

func messages(schema apiextensionsv1.JSONSchemaProps) []string {
	var found []string
	for _, validation := range schema.XValidations {
		found = append(found, validation.Message)
	}
	for _, property := range schema.Properties {
		found = append(found, messages(property)...)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		found = append(found, messages(*schema.Items.Schema)...)
	}
	return found
}

func TestDefaults(t *testing.T) {
	c := client(t, "labworkloads")
	got, err := create(t, c, labWorkload(t, `
images: {maxAge: 2160h}
encryption: {inTransit: {provider: Application, issuerRef: {name: lab-ca}}}
network: {egress: [{cidrs: [10.0.0.0/8], ports: [{port: 443}]}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"selector":    map[string]any{"matchLabels": map[string]any{"app": "lis"}},
		"enforcement": "Audit",
		"images":      map[string]any{"maxAge": "2160h", "onStale": "Deny", "onUnknownAge": "Warn"},
		"encryption": map[string]any{"inTransit": map[string]any{
			"provider": "Application", "issuerRef": map[string]any{"kind": "ClusterIssuer", "name": "lab-ca"},
		}},
		"network": map[string]any{"egress": []any{map[string]any{
			"cidrs": []any{"10.0.0.0/8"}, "ports": []any{map[string]any{"port": int64(443), "protocol": "TCP"}},
		}}},
	}
	if diff := cmp.Diff(want, got.Object["spec"]); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

// Tools that know kstatus wait for observedGeneration to reach the generation: a new object must not look done.
func TestANewObjectIsNotObserved(t *testing.T) {
	c := clientIn(t, "labworkloads", cluster.Namespace(t))
	if _, err := c.Create(t.Context(), labWorkload(t, ""), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := c.Get(t.Context(), "lis", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"observedGeneration": int64(-1)}, got.Object["status"]); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestANameLeavesRoomForThoseOfItsChildren(t *testing.T) {
	c := client(t, "labworkloads")
	longest := labWorkload(t, "")
	longest.SetName(strings.Repeat("n", 200))
	if _, err := create(t, c, longest); err != nil {
		t.Errorf("a name of 200 characters: %v", err)
	}
	longest.SetName(strings.Repeat("n", 201))
	if _, err := create(t, c, longest); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "metadata.name: at most 200 characters") {
		t.Errorf("a name of 201 characters: %v, want a refusal that says how many are allowed", err)
	}
}
