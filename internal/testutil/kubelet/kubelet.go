// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"
	"k8s.io/client-go/util/workqueue"

	"github.com/labguard/labguard/internal/testutil/cluster"
)

const (
	// workers is how many pods are taken further at the same time.
	workers = 4
	// endWithin bounds the calls that take the nodes away after a test.
	endWithin = 30 * time.Second
)

// Kubelet plays the kubelets of some nodes.
type Kubelet struct {
	client kubernetes.Interface
	nodes  []string
	pods   corelisters.PodLister
	queue  workqueue.TypedRateLimitingInterface[cache.ObjectName]
}

// Start registers nodes, linux/amd64 and large, and plays their kubelets until the test ends. It returns when the nodes are known to the API server;
// the controllers make them schedulable within moments.
func Start(t testing.TB, nodes ...string) *Kubelet {
	t.Helper()
	config := cluster.Config()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatalf("create the client of the kubelets: %v", err)
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	k := &Kubelet{
		client: client, nodes: nodes, pods: factory.Core().V1().Pods().Lister(),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[cache.ObjectName]()),
	}
	informer := factory.Core().V1().Pods().Informer()
	if _, err := informer.AddEventHandler(k.events()); err != nil {
		t.Fatalf("watch pods: %v", err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() {
		stop()
		k.queue.ShutDown()
		running.Wait()
		factory.Shutdown()
		k.leave(t)
	})
	for _, node := range nodes {
		if err := k.register(ctx, node); err != nil {
			t.Fatalf("register node %s: %v", node, err)
		}
		running.Go(func() { k.beat(ctx, node) })
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		t.Fatal("the pods of the cluster are not to be had")
	}
	for range workers {
		running.Go(func() { k.work(ctx) })
	}
	return k
}

// Complete ends a running pod as its containers do when they exit with code 0.
func (k *Kubelet) Complete(ctx context.Context, namespace, name string) error {
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		pod, err := k.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		complete(pod)
		_, err = k.client.CoreV1().Pods(namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("complete pod %s/%s: %w", namespace, name, err)
	}
	return nil
}

func (k *Kubelet) events() cache.ResourceEventHandler {
	add := func(object any) {
		if pod, isPod := object.(*corev1.Pod); isPod && slices.Contains(k.nodes, pod.Spec.NodeName) {
			k.queue.Add(cache.MetaObjectToName(pod))
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, object any) { add(object) }}
}

func (k *Kubelet) work(ctx context.Context) {
	for {
		name, ended := k.queue.Get()
		if ended {
			return
		}
		// Whatever failed is tried again: an image may come, a conflict goes.
		if err := k.sync(ctx, name); err != nil {
			k.queue.AddRateLimited(name)
		} else {
			k.queue.Forget(name)
		}
		k.queue.Done(name)
	}
}

// sync takes one pod one step further.
func (k *Kubelet) sync(ctx context.Context, name cache.ObjectName) error {
	pod, err := k.pods.Pods(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find pod %s: %w", name, err)
	}
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if pod.DeletionTimestamp != nil && ended {
		return k.remove(ctx, pod)
	}
	if ended || pod.DeletionTimestamp == nil && isReported(pod) {
		return nil
	}
	pod = pod.DeepCopy()
	var failed error
	if pod.DeletionTimestamp != nil {
		terminate(pod)
	} else {
		failed = run(ctx, pod)
	}
	if _, err := k.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("report pod %s: %w", name, err)
	}
	return failed
}

// remove finishes the deletion of a pod whose containers have ended.
func (k *Kubelet) remove(ctx context.Context, pod *corev1.Pod) error {
	now := int64(0)
	options := metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}
	err := k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, options)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("finish the deletion of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}
