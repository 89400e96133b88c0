// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// writer is somebody who writes, and whether the word of such a writer that an object is owned counts.
type writer struct {
	user    string
	trusted bool
}

// writers are those of finding F1: components and operators of other namespaces, and everybody whom a tenant can act through.
func (l lab) writers() []writer {
	return []writer{
		{l.Tenant, false},
		{"system:serviceaccount:" + l.Namespace + ":default", false},
		{"system:serviceaccount:flux-system:kustomize-controller", false},
		{"system:serviceaccount:argocd:argocd-application-controller", false},
		{"system:kube-controller-manager", true},
		{"system:serviceaccount:kube-system:deployment-controller", true},
		{"system:serviceaccount:" + l.Namespace + "-system:operator", true}, // the name of its namespace begins as ours does
	}
}

// judge fails the test unless the write was asked about, or passed if its writer is trusted.
func (l lab) judge(w writer, err error) {
	l.Helper()
	if w.trusted {
		l.Passes(err)
	} else {
		l.asked(err)
	}
}

func TestOwnerReferenceOfATenantCountsForNothing(t *testing.T) {
	l := newLab(t)
	_, err := l.Typed(l.Tenant).CoreV1().ConfigMaps(l.Namespace).Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "own"}}, metav1.CreateOptions{})
	l.Must(err)
	owner := l.get(kind{GroupVersionResource: gvr("", "v1", "configmaps")}, "own")
	for i := range l.writers() {
		l.Must(l.create(l.Tenant, daemonSets, daemonSets.object(fmt.Sprintf("agent-%d", i), imageOne)))
	}
	l.protect()
	l.kill()
	for i, w := range l.writers() {
		t.Run(fmt.Sprintf("%s trusted=%v", w.user, w.trusted), func(t *testing.T) {
			l := l.in(t)
			if w.user != l.Tenant {
				l.Bind("cluster-admin", w.user)
			}
			for _, k := range allKinds {
				name := fmt.Sprintf("owned-%d", i)
				l.judge(w, l.create(w.user, k, ownedBy(k.object(name, imageTwo), owner)))
				if w.trusted {
					l.asked(l.create(w.user, k, k.object("root-"+name, imageTwo)))
				}
			}
			both := daemonSets.withImage(imageTwo)
			both = fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"own","uid":%q,"controller":true}]},%s`,
				owner.GetUID(), both[1:])
			l.judge(w, l.patch(w.user, daemonSets, fmt.Sprintf("agent-%d", i), both))
		})
	}
}

func TestTenantCannotBringAnImageThroughAnOwnedReplicaSet(t *testing.T) {
	l := newLab(t)
	l.Must(l.create(l.Tenant, deployments, deployments.object("app", imageOne)))
	owned := l.awaitChildren(replicaSets, "app", 1)[0]
	l.Must(l.patch(l.Tenant, deployments, "app", `{"spec":{"paused":true}}`))
	l.protect()
	l.kill()
	l.asked(l.patch(l.Tenant, replicaSets, owned.GetName(), replicaSets.withImage(imageTwo)))
	t.Run("scale of it passes", func(t *testing.T) {
		l := l.in(t)
		l.Passes(l.patch(l.Tenant, replicaSets, owned.GetName(), `{"spec":{"replicas":1}}`))
		scale := l.dynamic(l.Tenant).Resource(replicaSets.GroupVersionResource).Namespace(l.Namespace)
		object, err := scale.Get(t.Context(), owned.GetName(), metav1.GetOptions{}, "scale")
		l.Must(err)
		l.Must(unstructured.SetNestedField(object.Object, int64(2), "spec", "replicas"))
		object.SetResourceVersion("")
		_, err = scale.Update(t.Context(), object, metav1.UpdateOptions{}, "scale")
		l.Passes(err)
	})
}

func TestTenantCannotOrphanAPodOrJobWithAnotherImage(t *testing.T) {
	l := newLab(t)
	l.Must(l.create(l.Tenant, deployments, deployments.object("app", imageOne)))
	owner := l.awaitChildren(replicaSets, "app", 1)[0]
	l.Must(l.create(l.Tenant, cronJobs, cronJobs.object("nightly", imageOne)))
	pod := l.awaitChildren(pods, "app", 1)[0]
	l.protect()
	l.kill()
	// Owned by a real ReplicaSet or CronJob, which need not have asked for it.
	l.asked(l.create(l.Tenant, pods, ownedBy(pods.object("odd", imageTwo), &owner)))
	l.asked(l.create(l.Tenant, jobs, ownedBy(jobs.object("odd", imageTwo), l.get(cronJobs, "nightly"))))
	l.asked(l.patch(l.Tenant, pods, pod.GetName(), pods.withImage(imageTwo)))
}
