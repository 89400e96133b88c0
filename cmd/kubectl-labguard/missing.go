// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// namesOnly asks for objects without what is in them.
const namesOnly = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

// body is what came back. It asks for the error first, which has the status that the API server gave; that of Raw alone has not.
func body(result rest.Result) ([]byte, error) {
	if err := result.Error(); err != nil {
		return nil, err
	}
	return result.Raw()
}

// absent says that there is no object of a name, and where else there is one, or which are called much like it.
func (r reader) absent(ctx context.Context, kind kind, namespace, name string) error {
	found := r.names(ctx, kind, metav1.NamespaceAll)
	if len(found) == 0 {
		found = r.names(ctx, kind, namespace)
	}
	var here, elsewhere []string
	for _, one := range found {
		switch {
		case one.Namespace == namespace:
			here = append(here, one.Name)
		case one.Name == name:
			elsewhere = append(elsewhere, one.Namespace)
		}
	}
	hint := suggest(near(name, here))
	if len(elsewhere) > 0 {
		hint = ": there is one in namespace " + strings.Join(elsewhere[:min(len(elsewhere), 3)], " and in ") + ", which -n chooses"
	}
	if hint == "" {
		if err := r.there(ctx, namespace); err != nil {
			return err
		}
	}
	return &unansweredError{fmt.Errorf("there is no %s %s in namespace %s%s", kind.name, name, namespace, hint)}
}

// names are the objects of a kind of a namespace, or of all. None if they may not be listed: it is only for a hint.
func (r reader) names(ctx context.Context, kind kind, namespace string) []types.NamespacedName {
	path := []string{kind.root}
	if namespace != "" {
		path = append(path, "namespaces", namespace)
	}
	options := metav1.ListOptions{Limit: pageSize}
	raw, err := body(r.api.Get().AbsPath(append(path, kind.resource)...).SetHeader("Accept", namesOnly).VersionedParams(&options, r.api.parameters).Do(ctx))
	if err != nil {
		return nil
	}
	var list metav1.PartialObjectMetadataList
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil
	}
	names := make([]types.NamespacedName, 0, len(list.Items))
	for i := range list.Items {
		names = append(names, types.NamespacedName{Namespace: list.Items[i].Namespace, Name: list.Items[i].Name})
	}
	return names
}

// there is an error if there is certainly no such namespace. An empty name means all of them.
func (r reader) there(ctx context.Context, namespace string) error {
	if namespace == "" {
		return nil
	}
	_, err := r.core.Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return nil
	}
	var names []string
	for _, one := range r.names(ctx, namespaceKind, "") {
		names = append(names, one.Name)
	}
	return &unansweredError{fmt.Errorf("there is no namespace %s%s", namespace, suggest(near(namespace, names)))}
}
