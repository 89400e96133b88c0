// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/ledger"
)

func TestAnnotationsAreCompletedOnceWithWhatTheRecordAdmits(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	record := &v1alpha1.RolloutRecord{
		ObjectMeta: metav1.ObjectMeta{Name: "deployment-lis"},
		Spec: v1alpha1.RolloutRecordSpec{Admitted: []v1alpha1.AdmittedImage{
			{Reference: "lab.example/lis:1", Time: at, Reason: v1alpha1.AdmittedPreExisting},
			{Reference: "lab.example/lis:2", Time: at, Reason: v1alpha1.AdmittedPreExisting},
		}},
	}
	complete, more := ledger.Complete(nil, record)
	if !more || !ledger.Carries(complete, "lab.example/lis:1") || !ledger.Carries(complete, "lab.example/lis:2") {
		t.Fatalf("a root without annotations is not completed: %v, %t", complete, more)
	}
	if again, more := ledger.Complete(complete, record); more {
		t.Errorf("a complete root is completed again: %v", again)
	}
	admitted := ledger.Annotations([]v1alpha1.AdmittedImage{{Reference: "lab.example/lis:3", Time: at, Reason: v1alpha1.AdmittedFresh}},
		ledger.NewSet(complete, []string{record.Name}, []v1alpha1.RolloutRecord{*record}), ledger.References(complete))
	if again, more := ledger.Complete(admitted, record); more {
		t.Errorf("what the webhook wrote is written again: %v", again)
	}
}
