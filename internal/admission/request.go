// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"fmt"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/ledger"
	"github.com/labguard/labguard/internal/posture/template"
)

// canary recognises labguard's own dry run that proves that the webhooks are called.
func (g *Gate) canary(request *admission.Request, root *template.Root) (nonce string, found bool) {
	if request.UserInfo.Username != g.User || request.DryRun == nil || !*request.DryRun {
		return "", false
	}
	nonce, found = posture.CanaryNonce(root.Annotations[v1alpha1.HoldAnnotation])
	return nonce, found && nonce != ""
}

func decode(request *admission.Request) (root, old *template.Root, err error) {
	if root, err = template.Decode(request.Kind.Kind, request.Object.Raw); err != nil {
		return nil, nil, err
	}
	if root.Name == "" {
		root.Name = request.Name
	}
	if request.SubResource == ephemeralContainers {
		root.Template.Images, err = ephemeralImages(request.Object.Raw)
		return root, nil, err
	}
	if hasOld(request) {
		old, err = template.Decode(request.Kind.Kind, request.OldObject.Raw)
	}
	return root, old, err
}

func ephemeralImages(raw []byte) ([]posture.TemplateImage, error) {
	var pod struct {
		Spec struct {
			EphemeralContainers []struct {
				Name  string `json:"name"`
				Image string `json:"image"`
			} `json:"ephemeralContainers"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(raw, &pod); err != nil {
		return nil, fmt.Errorf("read the ephemeral containers of a pod: %w", err)
	}
	var images []posture.TemplateImage
	for _, container := range pod.Spec.EphemeralContainers {
		images = append(images, posture.TemplateImage{Container: container.Name, Reference: container.Image})
	}
	return images, nil
}

// governing are the LabWorkloads that enforce image age on a template, by the labels that it has or had: a label that moves
// in the same write is no way out.
func (g *Gate) governing(ctx context.Context, namespace string, root, old *template.Root) ([]posture.Governing, error) {
	var workloads v1alpha1.LabWorkloadList
	if err := g.Reader.List(ctx, &workloads, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list LabWorkloads of namespace %s: %w", namespace, err)
	}
	var governing []posture.Governing
	now := g.Clock.Now()
	for i := range workloads.Items {
		workload := &workloads.Items[i]
		if !posture.EnforcementAt(&workload.Spec, now).Images {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(&workload.Spec.Selector)
		if err != nil {
			continue // the controller reports it as Stalled; a selector that cannot be read selects nothing
		}
		if selector.Matches(labels.Set(root.Template.Labels)) || old != nil && selector.Matches(labels.Set(old.Template.Labels)) {
			governing = append(governing, posture.Governing{
				Name: namespace + "/" + workload.Name, Requirement: posture.NewImageRequirement(workload.Spec.Images),
			})
		}
	}
	return governing, nil
}

// recordNames are the records that count as the root's own: its own, and for a Job that somebody made from a CronJob, or a ReplicaSet
// of a Deployment, the owner's.
func recordNames(root *template.Root) []string {
	names := []string{ledger.RecordName(root.Kind, root.Name)}
	owner := root.Controller()
	if owner != nil && (root.Kind == "Job" && owner.Kind == "CronJob" || root.Kind == "ReplicaSet" && owner.Kind == "Deployment") {
		names = append(names, ledger.RecordName(owner.Kind, owner.Name))
	}
	return names
}

func patchAnnotations(answer *answer) admission.Response {
	annotations := ledger.Annotations(answer.decision.Admit, answer.set, answer.earlier)
	if answer.root.Annotations == nil {
		return admission.Patched("", jsonpatch.NewOperation("add", "/metadata/annotations", annotations))
	}
	var operations []jsonpatch.Operation
	for _, key := range []string{v1alpha1.AdmittedAnnotation, v1alpha1.AdmissionsAnnotation} {
		if answer.root.Annotations[key] != annotations[key] {
			path := "/metadata/annotations/" + strings.ReplaceAll(key, "/", "~1")
			operations = append(operations, jsonpatch.NewOperation("add", path, annotations[key]))
		}
	}
	return admission.Patched("", operations...)
}
