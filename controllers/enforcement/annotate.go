// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package enforcement

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/labguard/labguard/internal/posture/ledger"
	"github.com/labguard/labguard/internal/posture/template"
)

// +kubebuilder:rbac:groups="",resources=replicationcontrollers,verbs=patch
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets;daemonsets;replicasets,verbs=patch
// +kubebuilder:rbac:groups=batch,resources=cronjobs,verbs=patch
// +kubebuilder:rbac:groups=argoproj.io,resources=rollouts,verbs=patch

// annotateAgain is how soon an object that did not take labguard's annotations is tried again.
const annotateAgain = time.Minute

// annotate writes what the records admit into the annotations of governed root workloads that have a template to go back to, so that the match conditions
// know it while labguard is down. Metadata alone is written, once for each image, on the version that was read.
//
// One object must not keep the rest of the namespace waiting: tenants can make objects that take no annotation more (their size is bounded), and policies of
// others can refuse any write. Such an object is logged and tried again at the instant that annotate returns; other errors are returned when all roots have had their turn.
func (r *Reconciler) annotate(ctx context.Context, s *scope) (again time.Time, err error) {
	var failed []error
	for i := range s.inventory.Roots {
		root := &s.inventory.Roots[i]
		if root.Kind == "Pod" || root.Kind == "Job" || root.DeletionTimestamp != nil || s.governance(root.Template.Labels) != ledger.Enforced {
			continue
		}
		annotations, more := ledger.Complete(root.Annotations, s.record(ledger.RecordName(root.Kind, root.Name)))
		if !more {
			continue
		}
		err := r.annotateOne(ctx, root, annotations)
		switch {
		case apierrors.IsInvalid(err), apierrors.IsForbidden(err), apierrors.IsRequestEntityTooLargeError(err):
			log.FromContext(ctx).Info("a workload does not take labguard's annotations: while labguard is down, a rollback of it is refused", "reason", err.Error())
			again = s.now.Add(annotateAgain)
		case err != nil:
			failed = append(failed, err)
		}
	}
	return again, errors.Join(failed...)
}

func (r *Reconciler) annotateOne(ctx context.Context, root *template.Root, annotations map[string]string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": root.ResourceVersion, "annotations": annotations}})
	if err != nil {
		return fmt.Errorf("encode the admitted images of %s %s/%s: %w", root.Kind, root.Namespace, root.Name, err)
	}
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(schema.FromAPIVersionAndKind(root.APIVersion, root.Kind))
	object.Namespace, object.Name = root.Namespace, root.Name
	if err := r.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("write the admitted images of %s %s/%s: %w", root.Kind, root.Namespace, root.Name, err)
	}
	return nil
}
