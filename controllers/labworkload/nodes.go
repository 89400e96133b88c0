// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

// platformOf is what a node is; zero while its kubelet has not said so.
func platformOf(node *corev1.Node) posture.Platform {
	return posture.Platform{OS: node.Status.NodeInfo.OperatingSystem, Architecture: node.Status.NodeInfo.Architecture}
}

// nodePlatforms counts the platforms of the nodes that take pods, so that an event about one of thousands of nodes costs next to nothing unless
// it changes the platform that they have in common.
type nodePlatforms struct {
	lock  sync.Mutex
	nodes map[string]posture.Platform
	count map[posture.Platform]int
}

// set notes the platform of a node, zero for one that is gone or takes no pods, and says whether the common platform is another now.
func (n *nodePlatforms) set(node string, platform posture.Platform) (changed bool) {
	n.lock.Lock()
	defer n.lock.Unlock()
	if n.nodes == nil {
		n.nodes, n.count = map[string]posture.Platform{}, map[posture.Platform]int{}
	}
	before := n.common()
	if old, known := n.nodes[node]; known {
		delete(n.nodes, node)
		n.count[old]--
		if n.count[old] == 0 {
			delete(n.count, old)
		}
	}
	if platform != (posture.Platform{}) {
		n.nodes[node] = platform
		n.count[platform]++
	}
	return n.common() != before
}

func (n *nodePlatforms) common() posture.Platform {
	return posture.CommonPlatform(slices.Collect(maps.Keys(n.count)))
}

// nodeEvents wake every LabWorkload that asks for an age when the platform that all nodes have in common changes.
func (r *Reconciler) nodeEvents() handler.EventHandler {
	look := func(ctx context.Context, object client.Object, gone bool, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) {
		node, isNode := object.(*corev1.Node)
		if !isNode {
			return
		}
		platform := platformOf(node)
		if gone || node.Spec.Unschedulable {
			platform = posture.Platform{}
		}
		if !r.nodes.set(node.Name, platform) {
			return
		}
		for _, request := range r.list(ctx, "", func(workload *v1alpha1.LabWorkload) bool { return workload.Spec.Images != nil }) {
			queue.Add(request)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			look(ctx, e.Object, false, queue)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			look(ctx, e.ObjectNew, false, queue)
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			look(ctx, e.Object, true, queue)
		},
	}
}
