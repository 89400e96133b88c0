// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/posture"
)

// nodesFor is how long the nodes count as they were: thousands of them are not gone through for each write of a workload.
const nodesFor = time.Minute

// Nodes knows what the nodes of the cluster have in common.
type Nodes struct {
	// Reader reads nodes from a cache.
	Reader client.Reader
	Clock  clock.PassiveClock

	lock   sync.Mutex
	until  time.Time
	common posture.Platform
}

// Platform is the platform that all nodes have that take pods; zero if they have several, or cannot be read.
func (n *Nodes) Platform() posture.Platform {
	n.lock.Lock()
	defer n.lock.Unlock()
	now := n.Clock.Now()
	if now.Before(n.until) {
		return n.common
	}
	var nodes corev1.NodeList
	// The nodes are in a cache, where reading does not wait; what cannot be read is asked for again.
	if err := n.Reader.List(context.Background(), &nodes, client.UnsafeDisableDeepCopy); err != nil {
		return posture.Platform{}
	}
	var platforms []posture.Platform
	for i := range nodes.Items {
		if info := nodes.Items[i].Status.NodeInfo; !nodes.Items[i].Spec.Unschedulable {
			platforms = append(platforms, posture.Platform{OS: info.OperatingSystem, Architecture: info.Architecture})
		}
	}
	n.common, n.until = posture.CommonPlatform(platforms), now.Add(nodesFor)
	return n.common
}
