// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/apply"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
	"github.com/labguard/labguard/internal/outcome"
)

// maxSyncs is how many pods are told in one go that something that is mounted into them has changed; the next look tells the others.
const maxSyncs = 50

// closes says whether the stage closes ports that were open.
func (s *scope) closes() bool {
	return s.sidecar.stage.Stage == v1alpha1.TransitStageStrict && s.inForce() != v1alpha1.TransitStageStrict
}

// writeSidecar brings everything up to date that pods with a sidecar live on. The profile comes first, without which nothing has an owner, but lets no pod
// have the sidecar before its document is there.
func (r *Reconciler) writeSidecar(ctx context.Context, s *scope, wanted intent) error {
	c := &s.sidecar
	if !c.active && !c.leaving {
		return nil
	}
	if c.profile == nil {
		if err := r.awaitGuards(ctx, s); err != nil {
			return err
		}
		if err := r.applyProfile(ctx, s); err != nil {
			return err
		}
		return &outcome.WaitingError{Reason: v1alpha1.ReasonWaiting, Message: "the profile of the sidecar is being written", After: outcome.Soon}
	}
	if err := r.writeDocument(ctx, s); err != nil {
		return err
	}
	if err := errors.Join(r.writeCompanions(ctx, s), r.writeCertificate(ctx, s, c.profile, wanted)); isWrong(err) {
		return err
	} else if profileError := r.applyProfile(ctx, s); profileError != nil || err != nil {
		return errors.Join(err, profileError)
	}
	if err := errors.Join(r.tellPods(ctx, s), r.reissue(ctx, s)); err != nil {
		return err
	}
	if c.active && !s.written() {
		return &outcome.WaitingError{Reason: v1alpha1.ReasonWaiting, Message: "the configuration of the sidecar is being written", After: outcome.Soon}
	}
	return nil
}

// awaitGuards keeps a new LabWorkload from getting a key before the policies guard it: a pod that is let in before could name its Secret.
func (r *Reconciler) awaitGuards(ctx context.Context, s *scope) error {
	if r.Sidecars.Guards == nil {
		return nil
	}
	stand, err := r.Sidecars.Guards(ctx, s.workload.Namespace)
	if err != nil {
		return err
	}
	if !stand {
		return &outcome.WaitingError{Reason: v1alpha1.ReasonWaiting, Message: "the sidecar waits for the policies that guard its key in this namespace", After: outcome.Soon}
	}
	return nil
}

// applyProfile writes the profile. It has no owner: it outlives the LabWorkload while pods have the sidecar.
func (r *Reconciler) applyProfile(ctx context.Context, s *scope) error {
	wanted, live := &s.sidecar.result.Profile, s.sidecar.profile
	if live == nil && s.sidecar.leaving {
		return nil
	}
	configuration, err := transit.ProfileApply(s.workload.Namespace, wanted)
	if err != nil {
		return err
	}
	if live == nil {
		if err := r.Apply(ctx, configuration, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
			return fmt.Errorf("apply AirlockProfile %s: %w", desired.ChildName(s.workload.Name), err)
		}
		return nil
	}
	expelled, err := apply.Expel(ctx, r.Client, live, configuration)
	if err != nil || expelled || equality.Semantic.DeepEqual(&live.Spec, wanted) {
		return err
	}
	return apply.Onto(ctx, r.Client, "AirlockProfile", live, configuration)
}

func (r *Reconciler) writeDocument(ctx context.Context, s *scope) error {
	live := s.sidecar.document
	if len(s.sidecar.result.Document) == 0 {
		return fmt.Errorf("the configuration of the sidecar of %s/%s cannot be encoded", s.workload.Namespace, s.workload.Name)
	}
	// Those that run would keep what they have, and those that start would have nothing.
	if err := transit.Check(s.sidecar.result.Document); err != nil {
		return fmt.Errorf("airlock would refuse the configuration of the sidecar of %s/%s: %w", s.workload.Namespace, s.workload.Name, err)
	}
	if live == nil {
		// The cache holds labguard's own ConfigMaps alone.
		there := &corev1.ConfigMap{}
		err := r.Live.Get(ctx, client.ObjectKey{Namespace: s.workload.Namespace, Name: desired.ChildName(s.workload.Name)}, there)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("get ConfigMap %s/%s: %w", s.workload.Namespace, desired.ChildName(s.workload.Name), err)
		}
		if err == nil {
			live = there
		}
	}
	wanted := coreac.ConfigMap(desired.ChildName(s.workload.Name), s.workload.Namespace).
		WithLabels(desired.ChildLabels(s.workload)).
		WithOwnerReferences(desired.OwnedByProfile(s.sidecar.profile)).
		WithData(map[string]string{transit.DocumentKey: string(s.sidecar.result.Document)})
	var object client.Object
	var owned runtime.ApplyConfiguration
	if live != nil {
		extracted, err := coreac.ExtractConfigMap(live, v1alpha1.FieldManager)
		if err != nil {
			return fmt.Errorf("read what labguard owns of ConfigMap %s: %w", live.Name, err)
		}
		object, owned = live, extracted
	}
	_, err := apply.Child(ctx, r.Client, s.sidecar.profile, "ConfigMap", object, owned, wanted)
	return err
}

// writeCompanions writes the companion Services, each whatever happens to the others, and deletes those that lead nowhere any more.
func (r *Reconciler) writeCompanions(ctx context.Context, s *scope) error {
	var failures []error
	for i := range s.sidecar.result.Companions {
		companion := &s.sidecar.result.Companions[i]
		var object client.Object
		var owned runtime.ApplyConfiguration
		if live := s.ownService(companion.Name); live != nil {
			extracted, err := coreac.ExtractService(live, v1alpha1.FieldManager)
			if err != nil {
				return fmt.Errorf("read what labguard owns of Service %s: %w", live.Name, err)
			}
			object, owned = live, extracted
		}
		_, err := apply.Child(ctx, r.Client, s.sidecar.profile, "Service", object, owned, companion.Apply(s.workload, s.sidecar.profile))
		failures = append(failures, err)
	}
	for i := range s.services {
		stale := &s.services[i]
		wanted := slices.ContainsFunc(s.sidecar.result.Companions, func(c transit.Companion) bool { return c.Name == stale.Name })
		if !wanted && metav1.IsControlledBy(stale, s.sidecar.profile) {
			failures = append(failures, apply.Delete(ctx, r.Client, s.sidecar.profile, stale))
		}
	}
	return errors.Join(failures...)
}

// tellPods changes an annotation of pods into which something is mounted that has changed, so that the kubelet looks at once. It waits until the document is
// seen as it is to be: told before, the kubelet would find the old one.
func (r *Reconciler) tellPods(ctx context.Context, s *scope) error {
	document := string(s.sidecar.result.Document)
	if !s.written() || s.sidecar.document.Data[transit.DocumentKey] != document {
		return nil
	}
	value := transit.Sync([]byte(document), transit.Platform{Bundles: r.Sidecars.Bundles}, s.certificateMark())
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha1.SyncAnnotation: value}}})
	if err != nil {
		return fmt.Errorf("encode a patch: %w", err)
	}
	told := 0
	for _, pod := range s.governed() {
		if !isInjected(&pod, s.workload.Name) || pod.Annotations[v1alpha1.SyncAnnotation] == value {
			continue
		}
		if told == maxSyncs {
			return &outcome.WaitingError{Reason: v1alpha1.ReasonWaiting, Message: "pods are being told of a change, some at a time", After: outcome.Soon}
		}
		told++
		target := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
		if err := r.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch)); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("tell pod %s/%s of a change: %w", pod.Namespace, pod.Name, err)
		}
	}
	return nil
}

// certificateMark changes with each certificate.
func (s *scope) certificateMark() string {
	live := s.certificate.object
	if live == nil || live.Status.Revision == nil {
		return ""
	}
	return strconv.Itoa(*live.Status.Revision)
}
