// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/labguard/labguard/internal/testutil/tenancy"
)

// outage is a lab with one object of each kind, called "app", whose labguard is dead.
func outage(t *testing.T) lab {
	t.Helper()
	return outageOf(newLab(t))
}

func outageOf(l lab) lab {
	l.Helper()
	for _, k := range allKinds {
		name := "app-" + k.Resource
		l.Must(l.kubectl("apply", "-f", l.file(k.object(name, imageOne))))
	}
	l.awaitChildren(replicaSets, "app-deployments", 1)
	l.protect()
	l.kill()
	return l
}

func TestOutageOfLabguardLeavesEverythingButNewImages(t *testing.T) {
	l := outage(t)
	for _, k := range allKinds {
		name := "app-" + k.Resource
		t.Run("unchanged apply of "+k.kind, func(t *testing.T) {
			l := l.in(t)
			l.Passes(l.kubectl("apply", "-f", l.file(k.object(name, imageOne))))
		})
		t.Run("label and annotation of "+k.kind, func(t *testing.T) {
			l := l.in(t)
			l.Passes(l.patch(l.Tenant, k, name, `{"metadata":{"labels":{"shift":"night"},"annotations":{"note":"checked"}}}`))
		})
	}
	for _, k := range changeable {
		name := "app-" + k.Resource
		t.Run("environment of "+k.kind, func(t *testing.T) {
			l := l.in(t)
			l.Passes(l.patch(l.Tenant, k, name, k.at(`{"containers":[{"name":"app","env":[{"name":"A","value":"b"}]}]}`)))
		})
		t.Run("another volume of "+k.kind, func(t *testing.T) {
			l := l.in(t)
			l.Passes(l.patch(l.Tenant, k, name, k.at(`{"volumes":[{"name":"scratch","emptyDir":{}}]}`)))
		})
	}
	for _, k := range []kind{deployments, statefulSets, daemonSets} {
		t.Run("restart of "+k.kind, func(t *testing.T) {
			l := l.in(t)
			l.Passes(l.kubectl("rollout", "restart", k.Resource+"/app-"+k.Resource))
		})
	}
	t.Run("suspend of a Job", func(t *testing.T) {
		l := l.in(t)
		l.Passes(l.patch(l.Tenant, jobs, "app-jobs", `{"spec":{"suspend":true}}`))
	})
	t.Run("debug container", func(t *testing.T) {
		l := l.in(t)
		l.Allow(l.Tenant, "", "pods/ephemeralcontainers", "patch", "update")
		l.Passes(l.patch(l.Tenant, pods, "app-pods",
			`{"spec":{"ephemeralContainers":[{"name":"debug","image":"registry.example/debug","terminationMessagePolicy":"File"}]}}`, "ephemeralcontainers"))
	})
}

func TestOutageOfLabguardLetsEveryoneScale(t *testing.T) {
	const autoscaler = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
	l := outage(t)
	for _, k := range []kind{deployments, statefulSets, replicaSets, controllers} {
		for i, by := range []func(l lab, replicas int) error{
			func(l lab, replicas int) error { // the subresource
				return l.patchScale(l.Tenant, k, replicas)
			},
			func(l lab, replicas int) error { // an autoscaler
				return l.patchScale(autoscaler, k, replicas)
			},
			func(l lab, replicas int) error { // an UPDATE of the object
				return l.patch(l.Tenant, k, "app-"+k.Resource, fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas))
			},
		} {
			t.Run(fmt.Sprintf("%s in way %d", k.kind, i), func(t *testing.T) {
				l := l.in(t)
				l.Passes(by(l, i+2))
				if k.kind != statefulSets.kind { // its second pod waits for the first, which has no node
					l.awaitChildren(pods, "app-"+k.Resource, i+2)
				}
			})
		}
	}
}

func (l lab) patchScale(user string, k kind, replicas int) error {
	l.Helper()
	object, err := l.dynamic(user).Resource(k.GroupVersionResource).Namespace(l.Namespace).
		Get(l.Context(), "app-"+k.Resource, metav1.GetOptions{}, "scale")
	l.Must(err)
	l.Must(unstructured.SetNestedField(object.Object, int64(replicas), "spec", "replicas"))
	object.SetResourceVersion("") // controllers write the status at the same time
	_, err = l.dynamic(user).Resource(k.GroupVersionResource).Namespace(l.Namespace).
		Update(l.Context(), object, metav1.UpdateOptions{}, "scale")
	return err
}

func TestOutageOfLabguardLeavesControllersAlone(t *testing.T) {
	l := outage(t)
	t.Run("deleted and evicted pods come back", func(t *testing.T) {
		l := l.in(t)
		for _, k := range []kind{deployments, statefulSets, replicaSets, controllers} {
			before := l.awaitChildren(pods, "app-"+k.Resource, 1)[0]
			if k.kind == replicaSets.kind {
				l.Passes(l.Typed("").PolicyV1().Evictions(l.Namespace).Evict(l.Context(),
					&policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: before.GetName(), Namespace: l.Namespace}}))
			} else {
				l.Passes(l.Typed(l.Tenant).CoreV1().Pods(l.Namespace).Delete(l.Context(), before.GetName(), metav1.DeleteOptions{}))
			}
			l.Eventually(k.kind+" has another pod", func(ctx context.Context) (bool, error) {
				now, err := l.list(ctx, pods, "app=app-"+k.Resource)
				return len(now) == 1 && now[0].GetUID() != before.GetUID(), err
			})
		}
	})
	t.Run("a CronJob's tick makes a Job", func(t *testing.T) {
		l := l.in(t)
		tick := jobs.object("tick", imageOne)
		l.Passes(l.create("system:serviceaccount:kube-system:cronjob-controller", jobs, ownedBy(tick, l.get(cronJobs, "app-cronjobs"))))
		l.Eventually("the Job has a pod", func(ctx context.Context) (bool, error) {
			made, err := l.list(ctx, pods, "job-name=tick")
			return len(made) == 1, err
		})
	})
	for _, k := range []kind{statefulSets, cronJobs} {
		t.Run("foreground deletion of "+k.kind, func(t *testing.T) {
			l := l.in(t)
			foreground := metav1.DeletePropagationForeground
			resource := l.dynamic(l.Tenant).Resource(k.GroupVersionResource).Namespace(l.Namespace)
			l.Passes(resource.Delete(l.Context(), "app-"+k.Resource, metav1.DeleteOptions{PropagationPolicy: &foreground}))
			l.Eventually("it is gone", func(ctx context.Context) (bool, error) {
				_, err := resource.Get(ctx, "app-"+k.Resource, metav1.GetOptions{})
				return apierrors.IsNotFound(err), nil
			})
		})
	}
}

func TestRealCronJobTicksDuringAnOutage(t *testing.T) {
	l := newLab(t)
	every := cronJobs.object("every", imageOne)
	l.Must(unstructured.SetNestedField(every.Object, "* * * * *", "spec", "schedule"))
	l.Must(l.create(l.Tenant, cronJobs, every))
	l.kill()
	// The next full minute, and a little.
	const minute = 90 * time.Second
	if err := wait.PollUntilContextTimeout(l.Context(), tenancy.PollEvery, minute, true, func(ctx context.Context) (bool, error) {
		made, err := l.list(ctx, jobs, "")
		return len(made) > 0, err
	}); err != nil {
		t.Fatalf("no Job after %s: %v", minute, err)
	}
}

func TestNamespaceIsDeletedDuringAnOutage(t *testing.T) {
	t.Parallel()
	l := outageOf(lab{tenancy.In(t, doomed(t))})
	// The marker is labguard's to write, and it is down: recovery is the back door.
	l.Bind("edit", tenancy.Labguard)
	l.Must(l.setRecovery(t.Context(), "", l.Namespace, until))
	for _, k := range []kind{deployments, cronJobs} {
		l.Eventually("the marker is on "+k.kind, func(context.Context) (bool, error) {
			return l.patch(tenancy.Labguard, k, "app-"+k.Resource, annotated(`"labguard.dev/hold":"{}"`)) == nil, nil
		})
	}
	l.Must(l.setRecovery(t.Context(), "", l.Namespace, "null"))
	l.Eventually("the gate closes again", func(ctx context.Context) (bool, error) { return l.probe(ctx) != nil, nil })
	namespaces := l.Typed("").CoreV1().Namespaces()
	l.Must(namespaces.Delete(t.Context(), l.Namespace, metav1.DeleteOptions{}))
	l.Eventually("the namespace is gone", func(ctx context.Context) (bool, error) {
		_, err := namespaces.Get(ctx, l.Namespace, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
}

// doomed makes a namespace that the test deletes itself, with the service account that bare pods want.
func doomed(t *testing.T) string {
	t.Helper()
	l := lab{tenancy.Space{T: t}}
	client := l.Typed("").CoreV1()
	namespace, err := client.Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-doomed-"}}, metav1.CreateOptions{})
	l.Must(err)
	l.Afterwards(func(ctx context.Context) error {
		return client.Namespaces().Delete(ctx, namespace.Name, metav1.DeleteOptions{})
	})
	l.Eventually("the namespace has a service account", func(ctx context.Context) (bool, error) {
		_, err := client.ServiceAccounts(namespace.Name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, nil
	})
	return namespace.Name
}

func TestOutageOfLabguardRefusesNewImages(t *testing.T) {
	l := outage(t)
	const more = `{"initContainers":[{"name":"first","image":"registry.example/init:1"}]}`
	const volume = `{"volumes":[{"name":"code","image":{"reference":"registry.example/code:1"}}]}`
	for _, k := range allKinds {
		name := "app-" + k.Resource
		t.Run("new image of "+k.kind, func(t *testing.T) {
			l := l.in(t)
			l.asked(l.patch(l.Tenant, k, name, k.withImage(imageTwo)))
		})
		t.Run("new "+k.kind, func(t *testing.T) {
			l := l.in(t)
			l.asked(l.create(l.Tenant, k, k.object("new", imageOne)))
		})
		t.Run("init container of "+k.kind, func(t *testing.T) {
			l := l.in(t)
			l.asked(l.patch(l.Tenant, k, name, k.at(more)))
		})
		t.Run("image volume of "+k.kind, func(t *testing.T) {
			l := l.in(t)
			l.asked(l.patch(l.Tenant, k, name, k.at(volume)))
		})
		t.Run("hold marker of "+k.kind, func(t *testing.T) {
			l := l.in(t)
			l.Bind("edit", tenancy.Labguard)
			l.asked(l.patch(tenancy.Labguard, k, name, annotated(`"labguard.dev/hold":""`)))
		})
	}
	t.Run("a Job made of a CronJob by hand", func(t *testing.T) {
		l := l.in(t)
		l.asked(l.kubectl("create", "job", "by-hand", "--from=cronjob/app-cronjobs"))
	})
}

func TestHeldObjectNeedsLabguardForItsSpecOnly(t *testing.T) {
	l := newLab(t)
	for _, k := range changeable {
		held := k.object("held", imageOne)
		held.SetAnnotations(map[string]string{"labguard.dev/hold": `{"v":null}`})
		l.Must(l.create("", k, held))
	}
	l.protect()
	l.kill()
	for _, k := range changeable {
		t.Run(k.kind, func(t *testing.T) {
			l := l.in(t)
			l.Passes(l.patch(l.Tenant, k, "held", `{"metadata":{"labels":{"shift":"night"}}}`))
			l.Passes(l.patch(l.Tenant, k, "held", annotated(`"labguard.dev/hold":null`)))
			if _, kept := l.get(k, "held").GetAnnotations()["labguard.dev/hold"]; !kept {
				t.Error("a tenant took the marker off")
			}
			l.asked(l.patch(l.Tenant, k, "held", k.at(`{"containers":[{"name":"app","env":[{"name":"A","value":"b"}]}]}`)))
			l.Bind("edit", tenancy.Labguard)
			l.asked(l.patch(tenancy.Labguard, k, "held", annotated(`"labguard.dev/hold":null`)))
			l.asked(l.patch(tenancy.Labguard, k, "held", annotated(`"labguard.dev/hold":"{\"v\":1}"`)))
		})
	}
}
