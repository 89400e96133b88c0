// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	certificatesac "k8s.io/client-go/applyconfigurations/certificates/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/apply"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/outcome"
	"github.com/labguard/labguard/internal/posture"
)

// maxLeaving bounds the annotation that names what is leaving.
const maxLeaving = 16 << 10

// texts are the bundles as text by name, without those that have no root, and what is said of those that are leaving.
func (s *scope) texts() (bundles, leaving map[string]string) {
	bundles, leaving = map[string]string{}, map[string]string{}
	for _, one := range s.bundles {
		if len(one.decision.Publish) > 0 {
			bundles[one.name] = posture.JoinRoots(one.decision.Publish)
		}
		messages := make([]string, len(one.decision.Leaving))
		for i, root := range one.decision.Leaving {
			messages[i] = root.Message()
		}
		if text := strings.Join(messages, "\n"); text != "" {
			leaving[one.name] = text[:min(len(text), maxLeaving)]
		}
	}
	return bundles, leaving
}

// writeRecord writes what is published into the record.
func (r *Reconciler) writeRecord(ctx context.Context, s *scope) error {
	bundles, leaving := s.texts()
	if len(bundles) == 0 && s.record == nil {
		return nil
	}
	lines := make([]string, 0, len(leaving))
	for _, name := range slices.Sorted(maps.Keys(leaving)) {
		lines = append(lines, name+"\n"+leaving[name])
	}
	wanted := desired.TrustConfigMap(r.Namespace, bundles, strings.Join(lines, "\n"))
	if err := r.keepConfigMap(ctx, s.record, wanted); err != nil {
		return err
	}
	r.announce(s)
	return nil
}

// announce says which roots have begun to leave, and which have left.
func (r *Reconciler) announce(s *scope) {
	if s.record == nil {
		return
	}
	before := s.record.Annotations[v1alpha1.LeavingAnnotation]
	for _, one := range s.bundles {
		for _, root := range one.decision.Leaving {
			if !strings.Contains(before, root.Root.Fingerprint) {
				r.Recorder.Eventf(s.record, nil, corev1.EventTypeWarning, v1alpha1.ReasonRootLeaving, "Publish", "%s keeps %s", one.name, root.Message())
			}
		}
		for _, root := range one.decision.Left {
			r.Recorder.Eventf(s.record, nil, corev1.EventTypeNormal, v1alpha1.ReasonRootLeft, "Publish", "%s no longer has sha256:%s", one.name, root.Fingerprint)
		}
	}
}

// writeBundles brings the ClusterTrustBundles up to date.
func (r *Reconciler) writeBundles(ctx context.Context, s *scope) error {
	if !s.serves {
		return nil
	}
	bundles, leaving := s.texts()
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(bundles)) {
		wanted := desired.ClusterTrustBundle(name, bundles[name], leaving[name])
		var live client.Object
		var owned runtime.ApplyConfiguration
		if existing := s.live[name]; existing != nil {
			extracted, err := certificatesac.ExtractClusterTrustBundle(existing, v1alpha1.FieldManager)
			if err != nil {
				return fmt.Errorf("read what labguard owns of ClusterTrustBundle %s: %w", name, err)
			}
			live, owned = existing, extracted
		}
		failed = append(failed, r.keep(ctx, "ClusterTrustBundle", client.ObjectKey{Name: name}, live, owned, wanted))
	}
	for name, existing := range s.live {
		if _, wanted := bundles[name]; !wanted {
			failed = append(failed, r.remove(ctx, "ClusterTrustBundle", existing))
		}
	}
	return errors.Join(failed...)
}

// writeConfigMaps brings the ConfigMaps of bundles up to date: in every namespace with sidecars where the cluster serves no ClusterTrustBundles, and else
// where they are already, since pods from before mount them.
func (r *Reconciler) writeConfigMaps(ctx context.Context, s *scope) error {
	bundles, _ := s.texts()
	var failed []error
	for _, namespace := range slices.Sorted(maps.Keys(s.governed)) {
		if live := s.maps[namespace]; namespace != r.Namespace && len(bundles) > 0 && (live != nil || !s.serves) {
			err := r.keepConfigMap(ctx, live, desired.TrustConfigMap(namespace, bundles, ""))
			if outcome.Classify(err) != outcome.Gone {
				failed = append(failed, err)
			}
		}
	}
	for namespace, live := range s.maps {
		if !s.governed[namespace] || len(bundles) == 0 {
			failed = append(failed, r.remove(ctx, "ConfigMap", live))
		}
	}
	return errors.Join(failed...)
}

func (r *Reconciler) keepConfigMap(ctx context.Context, existing *corev1.ConfigMap, wanted *corev1ac.ConfigMapApplyConfiguration) error {
	key := client.ObjectKey{Namespace: *wanted.Namespace, Name: *wanted.Name}
	if existing == nil {
		return r.keep(ctx, "ConfigMap", key, nil, nil, wanted)
	}
	if foreign := foreignKeys(existing, wanted); len(foreign.Data) > 0 || len(foreign.BinaryData) > 0 {
		return r.expel(ctx, existing, foreign)
	}
	owned, err := corev1ac.ExtractConfigMap(existing, v1alpha1.FieldManager)
	if err != nil {
		return fmt.Errorf("read what labguard owns of ConfigMap %s: %w", key, err)
	}
	return r.keep(ctx, "ConfigMap", key, existing, owned, wanted)
}

// foreignKeys are the keys of a ConfigMap that it is not to have. Whoever could write it before its namespace was governed may have planted roots under the name
// of a bundle that is yet to come.
func foreignKeys(existing *corev1.ConfigMap, wanted *corev1ac.ConfigMapApplyConfiguration) *corev1.ConfigMap {
	foreign := &corev1.ConfigMap{Data: maps.Clone(existing.Data), BinaryData: existing.BinaryData}
	maps.DeleteFunc(foreign.Data, func(key, _ string) bool {
		_, isWanted := wanted.Data[key]
		return isWanted
	})
	return foreign
}

// expel takes keys away from a ConfigMap as it was read. What labguard wants of it is written at the next look, which follows at once.
func (r *Reconciler) expel(ctx context.Context, existing, foreign *corev1.ConfigMap) error {
	changed := existing.DeepCopy()
	maps.DeleteFunc(changed.Data, func(key, _ string) bool {
		_, isForeign := foreign.Data[key]
		return isForeign
	})
	changed.BinaryData = nil
	patch := client.MergeFromWithOptions(existing, client.MergeFromWithOptimisticLock{})
	if err := r.Patch(ctx, changed, patch, client.FieldOwner(v1alpha1.FieldManager)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove what others have added to ConfigMap %s/%s: %w", existing.Namespace, existing.Name, err)
	}
	return &outcome.WaitingError{Reason: v1alpha1.ReasonWaiting, Message: "the ConfigMap of bundles has lost keys of others", After: outcome.Soon}
}

// keep writes an object if what labguard owns of it differs from the intent. One that is not labguard's is left alone: the label says whose it is.
func (r *Reconciler) keep(
	ctx context.Context, kind string, key client.ObjectKey, live client.Object, owned, wanted runtime.ApplyConfiguration,
) error {
	if live == nil {
		return r.create(ctx, kind, key, wanted)
	}
	same, err := apply.Same(owned, wanted)
	if err != nil || same {
		return err
	}
	return apply.Onto(ctx, r.Client, kind, live, wanted)
}

// create makes an object that the cache does not have. The API server is asked first: the cache has nothing of what is not labguard's.
func (r *Reconciler) create(ctx context.Context, kind string, key client.ObjectKey, wanted runtime.ApplyConfiguration) error {
	there, err := r.exists(ctx, kind, key)
	switch {
	case err != nil:
		return err
	case there == nil:
	case there.GetLabels()[v1alpha1.ManagedByLabel] == v1alpha1.ManagedByValue:
		return &outcome.WaitingError{Reason: v1alpha1.ReasonWaiting, Message: kind + " " + key.Name + " is there and not in the cache yet", After: outcome.Soon}
	default:
		return &apply.NotOursError{Object: kind + " " + strings.TrimPrefix(key.String(), "/")}
	}
	if err := r.Apply(ctx, wanted, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
		return fmt.Errorf("apply %s %s: %w", kind, key, err)
	}
	return nil
}

func (r *Reconciler) exists(ctx context.Context, kind string, key client.ObjectKey) (client.Object, error) {
	object := kinds[kind]()
	err := r.Live.Get(ctx, key, object)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // nothing is there, and that is no error
	case err != nil:
		return nil, fmt.Errorf("get %s %s: %w", kind, key, err)
	default:
		return object, nil
	}
}

func (r *Reconciler) remove(ctx context.Context, kind string, live client.Object) error {
	if live.GetDeletionTimestamp() != nil {
		return nil
	}
	uid, version := live.GetUID(), live.GetResourceVersion()
	err := r.Delete(ctx, live, client.Preconditions{UID: &uid, ResourceVersion: &version})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete %s %s: %w", kind, live.GetName(), err)
	}
	return nil
}
