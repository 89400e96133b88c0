// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/labguard/labguard/api/v1alpha1"
)

// noEvents records nothing.
type noEvents struct{}

func (noEvents) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}

var _ events.EventRecorder = noEvents{}

func TestAReportThatCannotBeWritten(t *testing.T) {
	resource := schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "labworkloads"}
	refused := apierrors.NewForbidden(resource, "lis", nil)
	tests := map[string]struct{ answer, want error }{
		"is no error where its LabWorkload is gone":    {answer: apierrors.NewNotFound(resource, "lis")},
		"is an error where the API server refuses it":  {answer: refused, want: refused},
		"is an error where the API server has a hitch": {answer: context.DeadlineExceeded, want: context.DeadlineExceeded},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			answers := interceptor.Funcs{
				SubResourceApply: func(context.Context, client.Client, string, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
					return test.answer
				},
			}
			r := &Reconciler{Client: fake.NewClientBuilder().WithInterceptorFuncs(answers).Build(), Recorder: noEvents{}}
			workload := &v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis"}}
			err := r.report(t.Context(), workload, &v1alpha1.LabWorkloadStatus{ObservedGeneration: 1})
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
