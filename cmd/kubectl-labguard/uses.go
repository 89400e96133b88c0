// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	authentication "k8s.io/client-go/kubernetes/typed/authentication/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// clusterUses are the BreakGlassUses of a cluster.
type clusterUses struct {
	api   labguardAPI
	users authentication.SelfSubjectReviewsGetter
}

func (p *plugin) uses() (clusterUses, error) {
	config, err := p.config()
	if err != nil {
		return clusterUses{}, err
	}
	api, err := newLabguardAPI(config)
	if err != nil {
		return clusterUses{}, err
	}
	users, err := authentication.NewForConfig(config)
	if err != nil {
		return clusterUses{}, fmt.Errorf("make a client: %w", err)
	}
	return clusterUses{api: api, users: users}, nil
}

// list gives the uses of a namespace, or of all if it is empty.
func (c clusterUses) list(ctx context.Context, namespace string) ([]v1alpha1.BreakGlassUse, error) {
	var uses []v1alpha1.BreakGlassUse
	options := metav1.ListOptions{Limit: pageSize}
	for {
		var page v1alpha1.BreakGlassUseList
		err := c.api.Get().NamespaceIfScoped(namespace, namespace != "").Resource("breakglassuses").
			VersionedParams(&options, c.api.parameters).Do(ctx).Into(&page)
		if err != nil {
			return nil, advise("list", "breakglassuses", namespace, err)
		}
		uses = append(uses, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			return uses, nil
		}
	}
}

func (c clusterUses) get(ctx context.Context, namespace, name string) (*v1alpha1.BreakGlassUse, error) {
	use := &v1alpha1.BreakGlassUse{}
	return use, c.api.Get().Namespace(namespace).Resource("breakglassuses").Name(name).Do(ctx).Into(use)
}

// whoAmI is the user whom the API server sees.
func (c clusterUses) whoAmI(ctx context.Context) (string, error) {
	review, err := c.users.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("ask the API server who you are: %w", err)
	}
	return review.Status.UserInfo.Username, nil
}

// acknowledge writes an acknowledgement of just what was read: a use to which requests were added since is a conflict.
func (c clusterUses) acknowledge(ctx context.Context, use *v1alpha1.BreakGlassUse, acknowledgement v1alpha1.BreakGlassAcknowledgement) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": use.ResourceVersion},
		"spec":     map[string]any{"acknowledgement": acknowledgement},
	})
	if err != nil {
		return fmt.Errorf("encode the acknowledgement: %w", err)
	}
	return c.api.Patch(types.MergePatchType).Namespace(use.Namespace).Resource("breakglassuses").Name(use.Name).
		VersionedParams(&metav1.PatchOptions{FieldManager: fieldManager}, c.api.parameters).Body(patch).Do(ctx).Error()
}
