// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/internal/testutil/tenancy"
)

var rollouts = kind{gvr("argoproj.io", "v1alpha1", "rollouts"), "Rollout", templatePath}

// rollout gives a Rollout with a spec written in JSON.
func (l lab) rollout(name, spec string) *unstructured.Unstructured {
	l.Helper()
	object := &unstructured.Unstructured{}
	l.Must(json.Unmarshal(fmt.Appendf(nil,
		`{"apiVersion":"argoproj.io/v1alpha1","kind":"Rollout","metadata":{"name":%q},"spec":%s}`, name, spec), &object.Object))
	return object
}

// merge is a JSON merge patch, as a custom resource has no other.
func (l lab) merge(user, name, patch string) error {
	l.Helper()
	_, err := l.dynamic(user).Resource(rollouts.GroupVersionResource).Namespace(l.Namespace).
		Patch(l.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// argo is a lab whose tenant may edit Rollouts, with Rollouts of the given specs, called r0, r1 and so on.
func argo(t *testing.T, specs ...string) lab {
	t.Helper()
	l := newLab(t)
	l.Allow(l.Tenant, "argoproj.io", "rollouts", "*")
	l.Allow(l.Tenant, "argoproj.io", "rollouts/status", "*")
	for i, spec := range specs {
		l.Must(l.create(l.Tenant, rollouts, l.rollout(fmt.Sprintf("r%d", i), spec)))
	}
	l.protect()
	l.kill()
	return l
}

// containers is a spec with the given containers.
func containers(list string) string {
	return `{"replicas":1,"template":{"spec":{"containers":` + list + `}}}`
}

const oneContainer = `[{"name":"app","image":"` + imageOne + `"}]`

func TestWrongTypesInARolloutDoNotBlockItsLabelsAndScale(t *testing.T) {
	specs := []string{
		`"x"`, `7`, `[]`, `{}`, `null`,
		`{"template":"x"}`, `{"template":{"spec":[]}}`, `{"template":{"spec":{}}}`, `{"workloadRef":{"name":"app"}}`, `{"workloadRef":"x"}`,
		containers(`"x"`), containers(`7`), containers(`null`), containers(`{"name":"app"}`), containers(`["x",7,null]`),
		containers(`[{"name":7,"image":{}}]`), containers(`[{"image":null}]`), containers(`[{}]`), containers(oneContainer),
		`{"template":{"spec":{"initContainers":"x","volumes":"x"}}}`,
		`{"template":{"spec":{"initContainers":[7],"volumes":[7,{"image":"x"},{"name":7,"image":{"reference":7}},{"image":null}]}}}`,
	}
	l := argo(t, specs...)
	for i, spec := range specs {
		t.Run(spec, func(t *testing.T) {
			l, name := l.in(t), fmt.Sprintf("r%d", i)
			l.Passes(l.merge(l.Tenant, name, `{"metadata":{"labels":{"shift":"night"}}}`))
			if strings.HasPrefix(spec, "{") {
				l.Passes(l.merge(l.Tenant, name, `{"spec":{"replicas":2}}`))
			}
			l.asked(l.merge(l.Tenant, name, `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"registry.example/new:1"}]}}}}`))
		})
	}
}

func TestRolloutIsGatedLikeADeployment(t *testing.T) {
	l := argo(t, containers(oneContainer))
	template := func(spec string) string { return `{"spec":{"template":{"spec":` + spec + `}}}` }
	for name, patch := range map[string]string{
		"an image":                template(`{"containers":[{"name":"app","image":"` + imageTwo + `"}]}`),
		"an init container":       template(`{"initContainers":[{"name":"first","image":"` + imageTwo + `"}]}`),
		"an image volume":         template(`{"volumes":[{"name":"code","image":{"reference":"` + imageTwo + `"}}]}`),
		"the template's workload": `{"spec":{"workloadRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"app"}}}`,
		"containers of no type":   template(`{"containers":"x"}`),
	} {
		t.Run(name, func(t *testing.T) { l := l.in(t); l.asked(l.merge(l.Tenant, "r0", patch)) })
	}
	l.asked(l.create(l.Tenant, rollouts, l.rollout("new", containers(oneContainer))))
	l.Passes(l.merge(l.Tenant, "r0", template(`{"volumes":[{"name":"scratch","emptyDir":{}}]}`)))
	l.Passes(l.merge(l.Tenant, "r0", template(`{"containers":[{"name":"app","image":"`+imageOne+`","env":[{"name":"A","value":"b"}]}]}`)))
	l.Passes(l.merge(l.Tenant, "r0", annotated(forged)))
	l.clean(l.get(rollouts, "r0"))
}

func TestRolloutGoesBackWithoutLabguard(t *testing.T) {
	l := argo(t, containers(oneContainer))
	l.Allow(tenancy.Labguard, "argoproj.io", "rollouts", "patch")
	l.Must(l.merge(tenancy.Labguard, "r0", annotated(fmt.Sprintf(`"labguard.dev/admitted":%q`, imageOne+" "+imageTwo))))
	template := func(spec string) error {
		return l.merge(l.Tenant, "r0", `{"spec":{"template":{"spec":`+spec+`}}}`)
	}
	l.Passes(template(`{"containers":[{"name":"app","image":"` + imageTwo + `"}],"volumes":[{"name":"code","image":{"reference":"` + imageOne + `"}}]}`))
	l.Passes(template(`{"initContainers":[{"name":"first","image":"` + imageOne + `"}]}`))
	l.asked(template(`{"containers":[{"name":"app","image":"` + imageThree + `"}]}`))
	l.asked(template(`{"volumes":[{"name":"code","image":{"reference":"` + imageThree + `"}}]}`))
	// Admitted images do not excuse a template from elsewhere.
	l.asked(l.merge(l.Tenant, "r0", `{"spec":{"workloadRef":{"name":"app"}}}`))
}
