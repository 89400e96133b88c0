// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// RightsCacheOptions are for a cache of RBAC: it keeps of each object what the search for rights looks at. Scheme and so on are the caller's. It is a cache of its own,
// since that of the manager has one ClusterRole only, and since clusters without LabWorkloads that ask for logins need none.
func RightsCacheOptions() cache.Options {
	return cache.Options{DefaultTransform: StripRights}
}

// StripRights leaves of an object of RBAC its name, what it grants and to whom, and the labels by which roles are aggregated.
func StripRights(object any) (any, error) {
	switch o := object.(type) {
	case *rbacv1.ClusterRole:
		meta := stripMeta(o.ObjectMeta)
		meta.Labels = o.Labels
		return &rbacv1.ClusterRole{TypeMeta: o.TypeMeta, ObjectMeta: meta, Rules: o.Rules, AggregationRule: o.AggregationRule}, nil
	case *rbacv1.Role:
		return &rbacv1.Role{TypeMeta: o.TypeMeta, ObjectMeta: stripMeta(o.ObjectMeta), Rules: o.Rules}, nil
	case *rbacv1.ClusterRoleBinding:
		return &rbacv1.ClusterRoleBinding{TypeMeta: o.TypeMeta, ObjectMeta: stripMeta(o.ObjectMeta), Subjects: o.Subjects, RoleRef: o.RoleRef}, nil
	case *rbacv1.RoleBinding:
		return &rbacv1.RoleBinding{TypeMeta: o.TypeMeta, ObjectMeta: stripMeta(o.ObjectMeta), Subjects: o.Subjects, RoleRef: o.RoleRef}, nil
	default:
		return object, nil
	}
}

func stripMeta(meta metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: meta.Name, Namespace: meta.Namespace, UID: meta.UID, ResourceVersion: meta.ResourceVersion, Generation: meta.Generation}
}
