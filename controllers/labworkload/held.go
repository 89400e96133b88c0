// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/ledger"
	"github.com/labguard/labguard/internal/posture/template"
)

// maxHeld is how many held rollouts a status lists.
const maxHeld = 20

// held are the governed root workloads that are held, the first of them by kind and name, and how many there are.
func (s *sightings) held() (listed []v1alpha1.HeldRollout, count int) {
	for _, root := range s.found.Held() {
		if s.governs(root) {
			listed = append(listed, s.heldRollout(root))
		}
	}
	slices.SortFunc(listed, func(a, b v1alpha1.HeldRollout) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return listed[:min(len(listed), maxHeld)], len(listed)
}

func (s *sightings) heldRollout(root *template.Root) v1alpha1.HeldRollout {
	own := ledger.RecordName(root.Kind, root.Name)
	set := ledger.NewSet(root.Annotations, []string{own}, s.records)
	waitsFor := slices.DeleteFunc(root.Template.References(), func(reference string) bool {
		_, admitted := set.Admitted(reference)
		return admitted
	})
	rollout := v1alpha1.HeldRollout{
		Kind: root.Kind, Name: root.Name, Reason: v1alpha1.ReasonRolloutHeld, Images: posture.HeldImages(waitsFor), Since: s.heldSince(own),
	}
	if root.Kind == "Deployment" && s.midRollout(root) {
		rollout.Reason = v1alpha1.ReasonHeldMidRollout
	}
	return rollout
}

func (s *sightings) heldSince(record string) *metav1.Time {
	at := slices.IndexFunc(s.records, func(r v1alpha1.RolloutRecord) bool { return r.Name == record })
	if at < 0 || s.records[at].Spec.Held == nil {
		return nil
	}
	return instant(s.records[at].Spec.Held.Since.Time)
}

// midRollout says whether the hold of a Deployment has frozen an earlier rollout: two of its ReplicaSets have pods, so that what the one lacks the
// other does not make good, or the strategy Recreate has taken the pods away and made no new ones. That a pod is not ready is no sign of it, since
// pods fail at any time.
func (s *sightings) midRollout(deployment *template.Root) bool {
	revisions := 0
	for i := range s.found.Owned {
		if owner := s.found.Owned[i].Controller(); owner != nil && owner.UID == deployment.UID {
			revisions++
		}
	}
	running := map[types.UID]bool{}
	for i := range s.found.Pods {
		pod := &s.found.Pods[i]
		if !lives(pod) {
			continue
		}
		self, _ := template.FromObject(pod)
		if owner, top := s.found.OwnerOf(&self); top != nil && top.UID == deployment.UID {
			running[owner.UID] = true
		}
	}
	return len(running) > 1 || len(running) == 0 && revisions > 0 && s.found.Replicas(deployment) > 0
}
