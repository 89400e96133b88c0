// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package imagerecord

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/reliability"
)

func TestTheInventorySurvivesWhateverGoesWrong(t *testing.T) {
	env, err := reliability.Connect(cluster.Config(), nil, newScheme(t))
	if err != nil {
		t.Fatal(err)
	}
	env.Keep = cluster.EndsWithTests()
	reliability.Run(t, env, theInventory())
}

// listed is a usage without indexes, which no API server has: it lists what the LabWorkloads of a namespace report.
type listed struct {
	reader, live client.Reader
	namespace    string
}

func (l listed) InUse(ctx context.Context, record *v1alpha1.ImageRecord) (bool, error) {
	return l.ask(ctx, l.reader, record)
}

func (l listed) InUseLive(ctx context.Context, record *v1alpha1.ImageRecord) (bool, error) {
	return l.ask(ctx, l.live, record)
}

func (l listed) ask(ctx context.Context, reader client.Reader, record *v1alpha1.ImageRecord) (bool, error) {
	var workloads v1alpha1.LabWorkloadList
	if err := reader.List(ctx, &workloads, client.InNamespace(l.namespace)); err != nil {
		return false, err
	}
	return slices.ContainsFunc(workloads.Items, func(workload v1alpha1.LabWorkload) bool {
		return slices.Contains(digestsOf(&workload), record.Spec.Digest)
	}), nil
}

// theInventory has two images: one is used, not used, and used again; the other one is not used from the beginning, and is deleted in the end. What is
// used is never deleted, not even by a process that reads the past.
func theInventory() reliability.Scenario {
	used, unused := digest(0xa1), digest(0xa2)
	return reliability.Scenario{
		Name:   "the inventory",
		Serial: true,
		Start:  start,
		Arrange: func(ctx context.Context, w *reliability.World) error {
			for _, name := range []string{used, unused} {
				record, _ := RecordOf(posture.Content{Digest: name, Reference: "r.example/lis:1", FirstSeen: w.Clock.Now().Add(-2 * newFor), ConfigDigest: digest(2)})
				if err := w.Admin.Create(ctx, record); err != nil {
					return err
				}
			}
			return errors.Join(w.Admin.Create(ctx, lisWorkload(w)), report(used)(ctx, w))
		},
		Disturb: []reliability.Step{
			{Name: "the image is used no more", Anytime: true, Do: report("")},
			{Name: "29 days later it is used again", Do: func(ctx context.Context, w *reliability.World) error {
				w.Clock.Step(29 * 24 * time.Hour)
				return report(used)(ctx, w)
			}},
			{Name: "the retention of the other one ends", Do: func(_ context.Context, w *reliability.World) error {
				w.Clock.Step(24 * time.Hour)
				return nil
			}},
		},
		New: func(w *reliability.World, c client.Client) []reliability.Controller {
			r := &Reconciler{Client: c, Clock: w.Clock, Random: func() float64 { return 0 }, Usage: listed{reader: c, live: w.Admin, namespace: w.Namespace}}
			return []reliability.Controller{{Name: "imagerecord", Reconcile: r.Reconcile, Requests: reliability.Each(&v1alpha1.ImageRecordList{})}}
		},
		Snapshot:    reliability.Kinds(&v1alpha1.ImageRecordList{}),
		FieldOwners: []string{v1alpha1.FieldManager},
		Soon:        time.Minute,
		Always: func(ctx context.Context, w *reliability.World) error {
			if err := w.Admin.Get(ctx, client.ObjectKey{Name: v1alpha1.ImageRecordName(used)}, &v1alpha1.ImageRecord{}); apierrors.IsNotFound(err) {
				return errors.New("the record of the image that is used is gone")
			}
			return nil
		},
		Cleanup: func(ctx context.Context, w *reliability.World) error {
			return w.Admin.DeleteAllOf(ctx, &v1alpha1.ImageRecord{})
		},
	}
}

func lisWorkload(w *reliability.World) *v1alpha1.LabWorkload {
	return &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "lis"},
		Spec:       v1alpha1.LabWorkloadSpec{Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}}},
	}
}

// report has the LabWorkload report one image; empty: none.
func report(digest string) func(context.Context, *reliability.World) error {
	return func(ctx context.Context, w *reliability.World) error {
		workload := lisWorkload(w)
		if err := w.Admin.Get(ctx, client.ObjectKeyFromObject(workload), workload); err != nil {
			return err
		}
		workload.Status.Images = nil
		if digest != "" {
			workload.Status.Images = []v1alpha1.ImageStatus{{Reference: "r.example/lis:1", Digest: digest, Answer: "Fresh", Reason: "ImageFresh"}}
		}
		return w.Admin.Status().Update(ctx, workload)
	}
}
