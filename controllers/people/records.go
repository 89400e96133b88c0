// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"fmt"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/training"
)

// Records has the training records in the order in which verdicts look them up. An import of thousands is put in order a few times and not for each
// record.
type Records struct {
	reader client.Reader
	kept   *kept[*training.Index]
}

// +kubebuilder:rbac:groups=labguard.dev,resources=trainingrecords,verbs=get;list;watch

// NewRecords makes it. reader answers from a cache of TrainingRecords.
func NewRecords(reader client.Reader, ticking clock.WithTicker) *Records {
	r := &Records{reader: reader}
	r.kept = newKept(ticking, workOutEvery, r.read, func(before, after *training.Index) bool { return before == after })
	return r
}

// SetupWithManager learns of TrainingRecords from the manager's cache, and is started by the manager.
func (r *Records) SetupWithManager(ctx context.Context, manager ctrl.Manager) error {
	informer, err := manager.GetCache().GetInformer(ctx, &v1alpha1.TrainingRecord{})
	if err != nil {
		return fmt.Errorf("watch the training records: %w", err)
	}
	if _, err := informer.AddEventHandler(r.kept.poked(otherGeneration)); err != nil {
		return fmt.Errorf("watch the training records: %w", err)
	}
	return manager.Add(r)
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: only what judges LabWorkloads asks, and that runs on the leader.
func (r *Records) NeedLeaderElection() bool { return true }

// Start keeps the records in order until the context ends.
func (r *Records) Start(ctx context.Context) error {
	r.kept.poke()
	r.kept.keep(log.IntoContext(ctx, log.FromContext(ctx).WithName("training")), "the order of the training records")
	return nil
}

// Index is the records as they were put in order last; false: they were not read yet.
func (r *Records) Index() (*training.Index, bool) { return r.kept.get() }

// Notify has listen called whenever they were put in order anew. listen must not block.
func (r *Records) Notify(listen func()) { r.kept.notify(listen) }

func (r *Records) read(ctx context.Context) (*training.Index, error) {
	var list v1alpha1.TrainingRecordList
	if err := r.reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list the training records: %w", err)
	}
	return training.NewIndex(training.FromObjects(list.Items)), nil
}
