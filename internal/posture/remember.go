// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// LastProof is what the status tells of the proofs of an earlier process. A new one has asked nobody yet, and that is no news.
type LastProof struct {
	// Condition is the answer as it stands; nil: none.
	Condition *metav1.Condition
	// Generation is that of the spec now. Stage is what is in force, and StageBefore what was when the condition was written.
	Generation         int64
	Stage, StageBefore v1alpha1.TransitStage
	// ProbedAt is when the oldest probe was made on which the condition rests; zero: it rests on none.
	ProbedAt time.Time
}

// Remembered is the answer to keep in place of one that nothing shows, and false if there is none. A True is kept as long as its proof lasts, for pods that were
// there when it was given; each of the others has to be shown anew. A False that rests on what airlocks said is kept until they have been asked.
func Remembered(last LastProof, pods []AirlockPod, closed []int32, now time.Time) (Verdict, bool) {
	before := last.Condition
	if before == nil || before.ObservedGeneration != last.Generation || last.Stage != last.StageBefore {
		return Verdict{}, false
	}
	kept := Verdict{Answer: before.Status, Reason: before.Reason, Message: before.Message}
	unasked := slices.ContainsFunc(pods, func(pod AirlockPod) bool { return pod.unasked() })
	if before.Status == metav1.ConditionFalse {
		said := []string{v1alpha1.ReasonPlaintextReachable, v1alpha1.ReasonPlaintextSeen, v1alpha1.ReasonNoIdentity, v1alpha1.ReasonNoTrust}
		return kept, unasked && slices.Contains(said, before.Reason)
	}
	ends := last.ProbedAt.Add(ProofLasts)
	if before.Status != metav1.ConditionTrue || len(closed) > 0 && !now.Before(ends) {
		return Verdict{}, false
	}
	for i := range pods {
		if !stands(pods[i:i+1], before.LastTransitionTime.Time, closed, now) {
			return Verdict{}, false
		}
	}
	if len(closed) > 0 {
		kept.NextChange = ends
	}
	return kept, len(pods) > 0
}

// stands says whether what was shown of one pod at an instant stands, or is shown again.
func stands(one []AirlockPod, shown time.Time, closed []int32, now time.Time) bool {
	pod := &one[0]
	if pod.Facts.ReportedAt.IsZero() {
		// A new pod turns a True at once, so that the last turn came after all pods on which the answer rests.
		return pod.Injected && !pod.Created.After(shown) && (len(closed) > 0 || pod.unasked())
	}
	unproven, _, _ := Proof(one, closed, now)
	return len(unproven) == 0 && pod.Facts.Report.ConfigurationError == "" && now.Sub(pod.Facts.ReportedAt) < ProofLasts
}

// unasked says that this process has not tried yet.
func (p *AirlockPod) unasked() bool {
	return p.Injected && p.Facts.ReportedAt.IsZero() && p.Facts.Failure == ""
}
