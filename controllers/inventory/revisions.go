// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/desired/access"
	"github.com/labguard/labguard/internal/posture/template"
)

// Revisions are the image references of the ControllerRevisions of a namespace, by the UID of the StatefulSet or DaemonSet that they belong to.
// They are listed once, when an enforcement epoch begins, and never watched.
func Revisions(ctx context.Context, live client.Reader, namespace string) (map[types.UID][]string, error) {
	var list appsv1.ControllerRevisionList
	if err := live.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list controller revisions of namespace %s: %w", namespace, err)
	}
	references := map[types.UID][]string{}
	for i := range list.Items {
		owner := metav1.GetControllerOfNoCopy(&list.Items[i])
		if owner == nil {
			continue
		}
		revision, err := template.Decode(owner.Kind, list.Items[i].Data.Raw)
		if err != nil {
			continue // data of a kind that is no patch of a pod template
		}
		references[owner.UID] = append(references[owner.UID], revision.Template.References()...)
	}
	return references, nil
}

// ListedNamespaces are the namespaces whose rollouts a webhook configuration of labguard asks about. One about people asks about none.
func ListedNamespaces(configuration *admissionregistrationv1.ValidatingWebhookConfiguration) []string {
	if access.IsNumbered(configuration.Name) {
		return nil
	}
	for i := range configuration.Webhooks {
		selector := configuration.Webhooks[i].NamespaceSelector
		if selector == nil {
			continue
		}
		for _, expression := range selector.MatchExpressions {
			if expression.Key == corev1.LabelMetadataName && expression.Operator == metav1.LabelSelectorOpIn {
				return expression.Values
			}
		}
	}
	return nil
}
