// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
	rbac "k8s.io/client-go/kubernetes/typed/rbac/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/pager"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/posture/rights"
)

const (
	// maxRightsObjects bounds the objects of one kind.
	maxRightsObjects = 200_000
	// configurationName and configurationKey are where the platform team's configuration is, in labguard's namespace (docs/configuration.md).
	configurationName, configurationKey = "labguard", "configuration.yaml"
)

// clusterRights is what the search for rights looks at, in a cluster.
type clusterRights struct {
	rbac rbac.RbacV1Interface
	core core.CoreV1Interface
	lab  labguardAPI
}

func newClusterRights(config *rest.Config) (clusterRights, error) {
	api, err := newLabguardAPI(config)
	if err != nil {
		return clusterRights{}, err
	}
	roles, err := rbac.NewForConfig(config)
	if err != nil {
		return clusterRights{}, fmt.Errorf("make a client: %w", err)
	}
	objects, err := core.NewForConfig(config)
	if err != nil {
		return clusterRights{}, fmt.Errorf("make a client: %w", err)
	}
	return clusterRights{rbac: roles, core: objects, lab: api}, nil
}

// read reads everything but the configuration.
func (c clusterRights) read(ctx context.Context) (rights.Input, error) {
	var (
		in        rights.Input
		workloads []v1alpha1.LabWorkload
		providers []v1alpha1.IdentityProvider
	)
	for _, kind := range []struct {
		name string
		page func(context.Context, metav1.ListOptions) (runtime.Object, error)
		add  func(runtime.Object)
	}{
		{"clusterroles", page(c.rbac.ClusterRoles().List), adding(&in.ClusterRoles)},
		{"clusterrolebindings", page(c.rbac.ClusterRoleBindings().List), adding(&in.ClusterRoleBindings)},
		{"roles", page(c.rbac.Roles(metav1.NamespaceAll).List), adding(&in.Roles)},
		{"rolebindings", page(c.rbac.RoleBindings(metav1.NamespaceAll).List), adding(&in.RoleBindings)},
		{"labworkloads", c.own("labworkloads", func() runtime.Object { return &v1alpha1.LabWorkloadList{} }), adding(&workloads)},
		{"identityproviders", c.own("identityproviders", func() runtime.Object { return &v1alpha1.IdentityProviderList{} }), adding(&providers)},
	} {
		if err := readKind(ctx, kind.name, kind.page, kind.add); err != nil {
			return rights.Input{}, err
		}
	}
	in.Governed, in.ClaimKeys = rights.Governed(workloads), rights.ClaimKeys(providers)
	return in, nil
}

// readKind reads all objects of a kind, page by page.
func readKind(ctx context.Context, name string, page pager.ListPageFunc, add func(runtime.Object)) error {
	all, count := pager.New(page), 0
	all.PageSize = pageSize
	err := all.EachListItem(ctx, metav1.ListOptions{}, func(object runtime.Object) error {
		count++
		if count > maxRightsObjects {
			return fmt.Errorf("there are more than %d", maxRightsObjects)
		}
		add(object)
		return nil
	})
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("it takes somebody who may list clusterroles, clusterrolebindings, roles, rolebindings, labworkloads and identityproviders of the whole cluster: %w", err)
	case err != nil:
		return fmt.Errorf("list %s: %w", name, err)
	default:
		return nil
	}
}

// page is a list of a typed client as the pager wants it.
func page[T runtime.Object](list func(context.Context, metav1.ListOptions) (T, error)) func(context.Context, metav1.ListOptions) (runtime.Object, error) {
	return func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return list(ctx, options)
	}
}

// own lists one of labguard's kinds.
func (c clusterRights) own(resource string, empty func() runtime.Object) func(context.Context, metav1.ListOptions) (runtime.Object, error) {
	return func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		list := empty()
		return list, c.lab.Get().Resource(resource).VersionedParams(&options, c.lab.parameters).Do(ctx).Into(list)
	}
}

// adding adds objects to a list of them.
func adding[T any, P interface {
	*T
	runtime.Object
}](list *[]T) func(runtime.Object) {
	return func(object runtime.Object) {
		if one, is := object.(P); is {
			*list = append(*list, *one)
		}
	}
}

// accessConfiguration is what the platform team's configuration says about rights. The rest of it is not read.
type accessConfiguration struct {
	CertManagerUser string `json:"certManagerUser"`
	Access          struct {
		BreakGlassGroup string `json:"breakGlassGroup"`
		Machines        []struct {
			Namespace      string `json:"namespace"`
			ServiceAccount string `json:"serviceAccount"`
			User           string `json:"user"`
		} `json:"machines"`
		Trusted []rights.Subject `json:"trusted"`
	} `json:"access"`
}

// configured adds what labguard's configuration in the cluster says, and cert-manager with its cainjector, which labguard accepts by itself.
func (c clusterRights) configured(ctx context.Context, namespace string, in *rights.Input) error {
	var configuration accessConfiguration
	defer func() {
		in.Trusted = append(in.Trusted, rights.CertManager(cmp.Or(configuration.CertManagerUser, injection.DefaultCertManagerUser))...)
	}()
	found, err := c.core.ConfigMaps(namespace).Get(ctx, configurationName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal([]byte(found.Data[configurationKey]), &configuration); err != nil {
		return fmt.Errorf("read %s of the ConfigMap %s/%s: %w", configurationKey, namespace, configurationName, err)
	}
	in.BreakGlass = configuration.Access.BreakGlassGroup
	in.Trusted = append(in.Trusted, configuration.Access.Trusted...)
	for _, one := range configuration.Access.Machines {
		in.Machines = append(in.Machines, rights.Machine{User: one.User, Namespace: one.Namespace, Name: one.ServiceAccount})
	}
	return nil
}
