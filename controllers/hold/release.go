// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/posture/template"
)

// putBackAgain is how soon a release is tried again that a webhook has turned into a hold: a replica that has not heard of the new image yet.
const putBackAgain = 5 * time.Second

// release takes the marker off, so that labguard's own webhook gives back what the hold has replaced. A dry run comes first: its answer says whether a webhook
// listens. Where none does, and for a gate that stands without a marker, it undoes the hold itself and writes the admissions that the webhook would have written.
func (r *Reconciler) release(ctx context.Context, root *template.Root, admissions map[string]string) (again time.Time, err error) {
	live, err := r.read(ctx, root)
	if live == nil || err != nil {
		return time.Time{}, err
	}
	old := hold.Of(live.DeepCopy())
	if !old.Marked() {
		return r.undo(ctx, root, admissions)
	}
	unmark := map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.HoldAnnotation: nil}}}
	answer, err := send(ctx, r.Client, live, unmark, client.DryRunAll)
	switch {
	case err != nil:
		return time.Time{}, err
	case hold.GivenBack(old, hold.Of(answer)):
		answer, err = send(ctx, r.Client, live, unmark)
		if err == nil && !hold.GivenBack(old, hold.Of(answer)) {
			return r.Clock.Now().Add(putBackAgain), nil
		}
		return time.Time{}, r.released(root, err)
	case hold.Of(answer).Marked():
		return r.Clock.Now().Add(putBackAgain), nil
	default:
		return r.undo(ctx, root, admissions)
	}
}

// undo gives back what the hold has replaced in a write of labguard's own, on the version that was read.
func (r *Reconciler) undo(ctx context.Context, root *template.Root, admissions map[string]string) (again time.Time, err error) {
	live, err := r.read(ctx, root)
	if live == nil || err != nil {
		return time.Time{}, err
	}
	answer, err := send(ctx, r.Client, live, undoing(live, admissions))
	if err == nil && hold.Of(answer).Held() { // a webhook listens after all, and does not find it fine
		return r.Clock.Now().Add(putBackAgain), nil
	}
	return time.Time{}, r.released(root, err)
}

func undoing(live *unstructured.Unstructured, admissions map[string]string) map[string]any {
	patch := hold.Undo(hold.Of(live.DeepCopy()))
	if metadata, isMap := patch["metadata"].(map[string]any); isMap {
		if annotations, isMap := metadata["annotations"].(map[string]any); isMap {
			for key, value := range admissions {
				annotations[key] = value
			}
		}
	}
	return patch
}

func (r *Reconciler) released(root *template.Root, err error) error {
	if err == nil {
		r.announce(root, corev1.EventTypeNormal, v1alpha1.ReasonRolloutReleased, "released: what the hold had replaced is given back")
	}
	return err
}

// read gets the whole object; nil if it is gone or not held any more. One that is another version than the cache has is decided about anew.
func (r *Reconciler) read(ctx context.Context, root *template.Root) (*unstructured.Unstructured, error) {
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(schema.FromAPIVersionAndKind(root.APIVersion, root.Kind))
	if err := r.Live.Get(ctx, client.ObjectKey{Namespace: root.Namespace, Name: root.Name}, live); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("get %s %s/%s: %w", root.Kind, root.Namespace, root.Name, err)
	}
	if live.GetUID() != root.UID || live.GetResourceVersion() != root.ResourceVersion {
		return nil, fmt.Errorf("release %s %s/%s: %w", root.Kind, root.Namespace, root.Name, apierrors.NewConflict(
			schema.GroupResource{Resource: root.Kind}, root.Name, errors.New("the cache is behind")))
	}
	return live, nil
}

// send sends a merge patch on the version that was read, and returns what the API server answers.
func send(ctx context.Context, writer client.Client, live *unstructured.Unstructured, patch map[string]any, options ...client.PatchOption) (*unstructured.Unstructured, error) {
	if err := unstructured.SetNestedField(patch, live.GetResourceVersion(), "metadata", "resourceVersion"); err != nil {
		return nil, fmt.Errorf("build the release of %s %s/%s: %w", live.GetKind(), live.GetNamespace(), live.GetName(), err)
	}
	encoded, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("encode the release of %s %s/%s: %w", live.GetKind(), live.GetNamespace(), live.GetName(), err)
	}
	answer := live.DeepCopy()
	options = append(options, client.FieldOwner(v1alpha1.FieldManager))
	if err := writer.Patch(ctx, answer, client.RawPatch(types.MergePatchType, encoded), options...); err != nil {
		return nil, fmt.Errorf("release %s %s/%s: %w", live.GetKind(), live.GetNamespace(), live.GetName(), err)
	}
	return answer, nil
}
