// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package enforcer

import (
	"context"
	"fmt"
	"maps"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/labguard/labguard/hack/devcluster/internal/policy"
)

// watch fills the caches and has every change applied from then on.
func (e *enforcer) watch(ctx context.Context, client kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods()
	namespaces := factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	e.read = func(announced map[string]string) (policy.Cluster, error) {
		return snapshot(pods.Lister(), namespaces.Lister(), policies.Lister(), announced)
	}
	e.known = func(uid string) bool {
		seen, err := pods.Informer().GetIndexer().ByIndex(byUID, uid)
		return err == nil && len(seen) > 0
	}
	err := pods.Informer().AddIndexers(cache.Indexers{byUID: func(o any) ([]string, error) {
		if pod, ok := o.(*corev1.Pod); ok {
			return []string{string(pod.UID)}, nil
		}
		return nil, nil
	}})
	if err != nil {
		return fmt.Errorf("index pods: %w", err)
	}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { e.touch() },
			UpdateFunc: func(any, any) { e.touch() },
			DeleteFunc: func(any) { e.touch() },
		})
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("list %s: %w", kind, ctx.Err())
		}
	}
	return nil
}

const byUID = "uid"

// snapshot is the cluster as the caches have it. Announcements that are not
// needed any more are removed.
func snapshot(
	pods corelisters.PodLister, namespaces corelisters.NamespaceLister, policies networkinglisters.NetworkPolicyLister, announced map[string]string,
) (policy.Cluster, error) {
	c := policy.Cluster{Namespaces: map[string]map[string]string{}}
	allNamespaces, err := namespaces.List(labels.Everything())
	if err != nil {
		return c, fmt.Errorf("list namespaces: %w", err)
	}
	for _, n := range allNamespaces {
		c.Namespaces[n.Name] = n.Labels
	}
	if c.Policies, err = policies.List(labels.Everything()); err != nil {
		return c, fmt.Errorf("list policies: %w", err)
	}
	allPods, err := pods.List(labels.Everything())
	if err != nil {
		return c, fmt.Errorf("list pods: %w", err)
	}
	inStatus := map[string]string{}
	for _, p := range allPods {
		inStatus[string(p.UID)] = p.Status.PodIP
		if converted, ok := convert(p, announced[string(p.UID)]); ok {
			c.Pods = append(c.Pods, converted)
		}
	}
	// A sandbox that was made anew has another address than the status still says.
	maps.DeleteFunc(announced, func(uid, address string) bool { return inStatus[uid] == address })
	return c, nil
}

// convert reports whether policies are about the pod: one in the network of the
// node has no address of its own, and one that ended has given it back.
func convert(p *corev1.Pod, announced string) (policy.Pod, bool) {
	if p.Spec.HostNetwork || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return policy.Pod{}, false
	}
	text := p.Status.PodIP
	if announced != "" {
		text = announced
	}
	address, err := netip.ParseAddr(text)
	if err != nil || !address.Is4() {
		return policy.Pod{}, false
	}
	return policy.Pod{Namespace: p.Namespace, Name: p.Name, Labels: p.Labels, Address: address, Ports: policy.NamedPorts(&p.Spec)}, true
}
