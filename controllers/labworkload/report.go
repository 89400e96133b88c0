// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	applyv1alpha1 "github.com/labguard/labguard/api/v1alpha1/applyconfiguration/api/v1alpha1"
)

// statusConfiguration is the whole status as an apply configuration of its own.
func statusConfiguration(workload *v1alpha1.LabWorkload, status *v1alpha1.LabWorkloadStatus) (*applyv1alpha1.LabWorkloadApplyConfiguration, error) {
	encoded, err := json.Marshal(status)
	if err != nil {
		return nil, fmt.Errorf("encode the status of LabWorkload %s/%s: %w", workload.Namespace, workload.Name, err)
	}
	configuration := &applyv1alpha1.LabWorkloadStatusApplyConfiguration{}
	if err := json.Unmarshal(encoded, configuration); err != nil {
		return nil, fmt.Errorf("decode the status of LabWorkload %s/%s: %w", workload.Namespace, workload.Name, err)
	}
	return applyv1alpha1.LabWorkload(workload.Name, workload.Namespace).WithUID(workload.UID).WithStatus(configuration), nil
}

// announce sends one event for each condition whose answer or reason has changed.
func (r *Reconciler) announce(workload *v1alpha1.LabWorkload, status *v1alpha1.LabWorkloadStatus) {
	for i := range status.Conditions {
		now := &status.Conditions[i]
		before := meta.FindStatusCondition(workload.Status.Conditions, now.Type)
		if before != nil && !isNews(before, now) {
			continue
		}
		warns := slices.Contains(warnings, now.Reason)
		if before == nil && now.Status == metav1.ConditionTrue && !warns || now.Type == v1alpha1.ConditionReconciling || now.Type == v1alpha1.ConditionCompliant {
			continue
		}
		kind := corev1.EventTypeNormal
		if warns || now.Status == metav1.ConditionFalse || now.Type == v1alpha1.ConditionStalled {
			kind = corev1.EventTypeWarning
		}
		r.Recorder.Eventf(workload, nil, kind, now.Reason, "Report", "%s is %s: %s", now.Type, now.Status, now.Message)
	}
	r.announceStage(workload, status)
}

// warnings are reasons of conditions that are True and that somebody has to know.
var warnings = []string{v1alpha1.ReasonImageSoonStale, v1alpha1.ReasonRenewalLate, v1alpha1.ReasonTrainingDueSoon, v1alpha1.ReasonBreakGlassOpen}

// isNews says whether a condition says something else than before. A renewal that is late twice is said twice, and so is break glass of one more user.
func isNews(before, now *metav1.Condition) bool {
	again := now.Reason == v1alpha1.ReasonRenewalLate || now.Type == v1alpha1.ConditionBreakGlassUsed
	return before.Status != now.Status || before.Reason != now.Reason || again && before.Message != now.Message
}

// announceStage tells of a stage that was entered. Going back is a warning: it opens what was closed.
func (r *Reconciler) announceStage(workload *v1alpha1.LabWorkload, status *v1alpha1.LabWorkloadStatus) {
	before, now := workload.Status.Transit, status.Transit
	if now == nil || before != nil && before.Stage == now.Stage || before == nil && now.Stage == v1alpha1.TransitStageObserve {
		return
	}
	kind := corev1.EventTypeNormal
	if before != nil && (before.Stage == v1alpha1.TransitStageStrict || now.Stage == v1alpha1.TransitStageObserve) {
		kind = corev1.EventTypeWarning
	}
	r.Recorder.Eventf(workload, nil, kind, v1alpha1.ReasonStageEntered, "Report", "stage %s of mutual TLS is in force", now.Stage)
}
