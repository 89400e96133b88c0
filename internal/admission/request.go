// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	"k8s.io/apimachinery/pkg/util/json"
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

// patchAnnotations writes what is admitted into the two annotations.
func patchAnnotations(answer *answer) admission.Response {
	annotations := ledger.Annotations(answer.decision.Admit, answer.set, answer.earlier())
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
