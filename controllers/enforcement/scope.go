// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package enforcement

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/inventory"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/ledger"
	"github.com/labguard/labguard/internal/posture/template"
)

// scope is what one reconcile has gathered about its namespace.
type scope struct {
	namespace *corev1.Namespace
	workloads []v1alpha1.LabWorkload
	records   []v1alpha1.RolloutRecord
	inventory *inventory.Namespace
	// revisions are the references of ControllerRevisions by the UID of their owner; read only when an epoch begins.
	revisions map[types.UID][]string
	// listed says that the webhook configurations name the namespace.
	listed bool
	now    time.Time
}

// gather reads everything once. It is nil where the namespace is gone, on its way out, or none of labguard's business.
func (r *Reconciler) gather(ctx context.Context, name string) (*scope, error) {
	found := &scope{namespace: &corev1.Namespace{}, now: r.Clock.Now()}
	if err := r.Get(ctx, client.ObjectKey{Name: name}, found.namespace); err != nil {
		if apierrors.IsNotFound(err) {
			r.proofs.forget(name)
			return nil, nil
		}
		return nil, fmt.Errorf("get namespace %s: %w", name, err)
	}
	if found.namespace.DeletionTimestamp != nil {
		r.proofs.forget(name)
		return nil, nil
	}
	var workloads v1alpha1.LabWorkloadList
	if err := r.List(ctx, &workloads, client.InNamespace(name)); err != nil {
		return nil, fmt.Errorf("list LabWorkloads of namespace %s: %w", name, err)
	}
	var records v1alpha1.RolloutRecordList
	if err := r.List(ctx, &records, client.InNamespace(name)); err != nil {
		return nil, fmt.Errorf("list rollout records of namespace %s: %w", name, err)
	}
	found.workloads, found.records = workloads.Items, records.Items
	if len(found.workloads) == 0 && len(found.records) == 0 {
		r.proofs.forget(name)
		return nil, nil
	}
	var err error
	if found.inventory, err = inventory.List(ctx, r.Client, r.Served, name); err != nil {
		return nil, err
	}
	found.inventory.LeaveOutAirlock(r.Airlock)
	found.listed, err = r.listed(ctx, found)
	return found, err
}

// listed says whether the webhook configurations name the namespace and something there enforces the age of images.
func (r *Reconciler) listed(ctx context.Context, found *scope) (bool, error) {
	enforcing := slices.ContainsFunc(found.workloads, func(w v1alpha1.LabWorkload) bool {
		return posture.EnforcementAt(&w.Spec, found.now).Images
	})
	if !enforcing {
		return false, nil
	}
	var configurations admissionregistrationv1.ValidatingWebhookConfigurationList
	if err := r.List(ctx, &configurations, client.MatchingLabels{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}); err != nil {
		return false, fmt.Errorf("list webhook configurations: %w", err)
	}
	for i := range configurations.Items {
		if slices.Contains(inventory.ListedNamespaces(&configurations.Items[i]), found.namespace.Name) {
			return true, nil
		}
	}
	return false, nil
}

func (s *scope) epoch() *v1alpha1.Epoch { return ledger.EpochOf(s.records) }

func (s *scope) record(name string) *v1alpha1.RolloutRecord {
	for i := range s.records {
		if s.records[i].Name == name {
			return &s.records[i]
		}
	}
	return &v1alpha1.RolloutRecord{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace.Name, Name: name}}
}

func (s *scope) inRecovery() bool {
	_, found := s.namespace.Labels[v1alpha1.RecoveryLabel]
	return found
}

// canaryRoot is a governed root workload of a kind that rolls out, for the canary to touch in a dry run; nil if there is none.
func (s *scope) canaryRoot() *template.Root {
	for i := range s.inventory.Roots {
		root := &s.inventory.Roots[i]
		rolls := root.Kind == "Deployment" || root.Kind == "StatefulSet" || root.Kind == "DaemonSet"
		if rolls && root.DeletionTimestamp == nil && s.governance(root.Template.Labels) == ledger.Enforced {
			return root
		}
	}
	return nil
}

func (s *scope) governance(of map[string]string) ledger.Governance {
	governance := ledger.Ungoverned
	for i := range s.workloads {
		spec := &s.workloads[i].Spec
		selector, err := metav1.LabelSelectorAsSelector(&spec.Selector)
		if err != nil || spec.Images == nil || !selector.Matches(labels.Set(of)) {
			continue
		}
		if posture.EnforcementAt(spec, s.now).Images {
			return ledger.Enforced
		}
		governance = ledger.Audited
	}
	return governance
}

// observation is the scope in the words of the books.
func (s *scope) observation(proof *v1alpha1.Epoch) ledger.Observation {
	seen := ledger.Observation{
		Namespace: s.namespace.Name, Records: s.records, Inhabited: len(s.workloads) > 0,
		Proof: proof, Recovery: s.inRecovery(), Now: s.now,
	}
	for _, held := range s.inventory.Held() {
		if held.Controller() != nil {
			seen.HeldOwned++
		}
	}
	inUse := s.inventory.InUse()
	for i := range s.inventory.Pods {
		if root := s.inventory.Pod(&s.inventory.Pods[i]); !root.Template.Gated { // a gated pod runs nothing
			if _, top := s.inventory.OwnerOf(&root); top != nil {
				inUse[top.UID] = append(inUse[top.UID], root.Template.References()...)
			}
		}
	}
	for i := range s.inventory.Roots {
		root := &s.inventory.Roots[i]
		if root.DeletionTimestamp != nil && (root.Kind == "Pod" || root.Kind == "Job") {
			continue
		}
		seen.Roots = append(seen.Roots, ledger.ObservedRoot{
			Root: root, Governance: s.governance(root.Template.Labels), InUse: s.inUseOf(root, inUse[root.UID]),
		})
	}
	return seen
}

// inUseOf are the references of the old revisions and pods of a root. The newest revision of a held StatefulSet has never run, and cannot be told from
// the others, so that no revision of a held one counts.
func (s *scope) inUseOf(root *template.Root, used []string) []string {
	if root.Held() {
		return used
	}
	return append(used, s.revisions[root.UID]...)
}

// endRecovery removes the recovery label when its time is over and everything that came in is written down. It returns when to look again.
func (r *Reconciler) endRecovery(ctx context.Context, s *scope, plan ledger.Plan) (time.Time, error) {
	end, found := ledger.RecoveryEnd(s.namespace.Labels, s.epoch(), s.now)
	if !found {
		return time.Time{}, nil
	}
	if s.now.Before(end) {
		return end, nil
	}
	if len(plan.Write) > 0 {
		return s.now.Add(retry), nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"resourceVersion": s.namespace.ResourceVersion, "labels": map[string]any{v1alpha1.RecoveryLabel: nil},
	}})
	if err != nil {
		return time.Time{}, fmt.Errorf("encode the end of recovery: %w", err)
	}
	if err := r.Patch(ctx, s.namespace.DeepCopy(), client.RawPatch(types.MergePatchType, patch), client.FieldOwner(v1alpha1.FieldManager)); err != nil {
		return time.Time{}, fmt.Errorf("end the recovery of namespace %s: %w", s.namespace.Name, err)
	}
	return time.Time{}, nil
}

// asConflict makes of "already exists" a conflict: the cache did not have the object yet.
func asConflict(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return apierrors.NewConflict(schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "rolloutrecords"}, "", err)
	}
	return err
}
