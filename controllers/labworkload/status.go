// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/apply"
	"github.com/labguard/labguard/internal/outcome"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/ledger"
)

// decision is everything that posture has said about one LabWorkload.
type decision struct {
	network, transit, mfa, training *posture.Verdict
	images                          *posture.ImagesReport
	// breakGlass is there while a use of it is not acknowledged. It is no requirement.
	breakGlass  *posture.Verdict
	preview     *v1alpha1.EnforcementPreview
	progress    *v1alpha1.TransitStatus
	certificate *v1alpha1.CertificateStatus
	// held are the first of the rollouts that are held, and heldCount how many there are.
	held      []v1alpha1.HeldRollout
	heldCount int
}

// answers are the verdicts by the name of their condition.
func (d *decision) answers() map[string]posture.Verdict {
	answers := map[string]posture.Verdict{}
	for name, answer := range map[string]*posture.Verdict{
		v1alpha1.ConditionNetworkIsolated: d.network, v1alpha1.ConditionTransitEncrypted: d.transit,
		v1alpha1.ConditionMFAEnforced: d.mfa, v1alpha1.ConditionStaffTrained: d.training,
	} {
		if answer != nil {
			answers[name] = *answer
		}
	}
	if d.images != nil {
		answers[v1alpha1.ConditionImagesFresh] = d.images.Verdict
	}
	return answers
}

// computeStatus is the whole status, from what was gathered, what was decided and how the writes went.
func computeStatus(s *scope, d *decision, err error) *v1alpha1.LabWorkloadStatus {
	workload := s.workload
	status := &v1alpha1.LabWorkloadStatus{
		ObservedGeneration: workload.Generation, Enforcement: s.enforcement.Summary,
		Conditions: workload.DeepCopy().Status.Conditions, Certificate: d.certificate, Preview: d.preview,
		Transit: d.progress,
	}
	next := s.enforcement.NextChange
	answers := d.answers()
	for _, name := range posture.Requirements() {
		answer, made := answers[name]
		if !made {
			meta.RemoveStatusCondition(&status.Conditions, name)
			continue
		}
		set(status, name, answer, s.now)
		next = posture.Earliest(next, answer.NextChange)
	}
	if d.breakGlass == nil {
		meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionBreakGlassUsed)
	} else {
		set(status, v1alpha1.ConditionBreakGlassUsed, *d.breakGlass, s.now)
	}
	set(status, v1alpha1.ConditionCompliant, posture.Compliant(answers), s.now)
	setReady(status, s, err)
	if images := d.images; images != nil {
		status.Images, status.ImageCount = images.Images, int32(min(images.Count, 1<<30)) //nolint:gosec // bounded right here
		status.OldestImage, status.StaleAt = instant(images.Oldest), instant(images.NextStale)
		status.Held, status.HeldCount = d.held, int32(min(d.heldCount, 1<<30)) //nolint:gosec // bounded right here
	}
	if s.enforcement.Images && ledger.Begun(s.epoch()) {
		status.EnforcedSince = s.epoch().EnforcedSince.DeepCopy()
	}
	status.NextChangeAt = instant(posture.Earliest(next, s.sidecar.stage.NextChange))
	return status
}

// setReady says whether labguard has done its part, with Reconciling or Stalled as kstatus wants them: only while true, and never both.
func setReady(status *v1alpha1.LabWorkloadStatus, s *scope, err error) {
	ready := readiness(s, err)
	set(status, v1alpha1.ConditionReady, ready.Verdict, s.now)
	for _, name := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
		if name != ready.abnormal { // one that stays is not removed: it would get the time of a transition that there was not
			meta.RemoveStatusCondition(&status.Conditions, name)
			continue
		}
		set(status, name, posture.Verdict{Answer: metav1.ConditionTrue, Reason: ready.Reason, Message: ready.Message}, s.now)
	}
}

// readyAnswer is the answer to Ready, with the abnormal condition that goes with it.
type readyAnswer struct {
	posture.Verdict
	abnormal string
}

func readiness(s *scope, err error) readyAnswer {
	notReady := func(reason, abnormal, format string, args ...any) readyAnswer {
		return readyAnswer{posture.Verdict{Answer: metav1.ConditionFalse, Reason: reason, Message: fmt.Sprintf(format, args...)}, abnormal}
	}
	var waiting *outcome.WaitingError
	var notOurs *apply.NotOursError
	switch {
	case s.workload.Spec.Suspend:
		return notReady(v1alpha1.ReasonSuspended, "", "labguard writes nothing here while spec.suspend is true; the gate stands as it was")
	case s.selectorError != nil:
		return notReady(v1alpha1.ReasonInvalidSpec, v1alpha1.ConditionStalled, "spec.selector cannot be read: %v", s.selectorError)
	case errors.As(err, &notOurs):
		return notReady(v1alpha1.ReasonNameTaken, v1alpha1.ConditionStalled, "%v", notOurs)
	case s.wantsForbiddenIssuer():
		return notReady(v1alpha1.ReasonIssuerNotAllowed, v1alpha1.ConditionStalled, "the issuer is not in labguard's configuration: name one that the platform team lists there")
	case len(s.sidecar.overlaps) > 0:
		return notReady(v1alpha1.ReasonSelectorOverlap, v1alpha1.ConditionStalled,
			"LabWorkload %s selects some of the same pods and has them already, or is older: make the selectors disjoint", posture.List(s.sidecar.overlaps))
	case s.sidecar.tooMany:
		return notReady(v1alpha1.ReasonTooManyWorkloads, v1alpha1.ConditionStalled,
			"the namespace has %d older LabWorkloads with provider Sidecar, and the API server looks at each for each pod: use another namespace", maxSidecars)
	case errors.As(err, &waiting):
		return notReady(waiting.Reason, v1alpha1.ConditionReconciling, "%s", waiting.Message)
	case err != nil:
		return notReady(v1alpha1.ReasonFailed, v1alpha1.ConditionReconciling, "a write failed; labguard tries again")
	}
	if s.enforcement.Images {
		if answer, stands := gateStands(s); !stands {
			return answer
		}
	}
	if answer, missing := s.notAsked(); missing {
		return answer
	}
	if s.enforcement.Transit && s.certificate.waiting() {
		return notReady(v1alpha1.ReasonWaiting, v1alpha1.ConditionReconciling, "waiting for cert-manager to issue the certificate")
	}
	reason, message := v1alpha1.ReasonReconciled, "everything that labguard has to write is written"
	if strings.HasPrefix(s.enforcement.Summary, string(v1alpha1.EnforcementAudit)) { // also "Audit until ..."
		reason, message = v1alpha1.ReasonAudit, "nothing is enforced; conditions say what is"
	}
	return readyAnswer{Verdict: posture.Verdict{Answer: metav1.ConditionTrue, Reason: reason, Message: message}}
}

// gateStands says whether the gate is known to stand in the namespace; the answer says why not.
func gateStands(s *scope) (readyAnswer, bool) {
	answer := readyAnswer{posture.Verdict{Answer: metav1.ConditionFalse, Reason: v1alpha1.ReasonEnforcementNotProven}, v1alpha1.ConditionReconciling}
	epoch := s.epoch()
	switch {
	case s.excluded:
		answer.Reason, answer.abnormal = v1alpha1.ReasonNamespaceExcluded, v1alpha1.ConditionStalled
		answer.Message = "the namespace is on the platform's exclusion list: the gate never stands here"
	case s.inRecovery:
		answer.Reason, answer.abnormal = v1alpha1.ReasonInRecovery, ""
		answer.Message = "the namespace is in recovery: the gate lets everything in"
	case epoch == nil || epoch.Proof == "" || epoch.Proof == v1alpha1.ReasonEnforcementNotProven:
		answer.Message = "the canary of the gate has not come back yet"
	case epoch.Proof == v1alpha1.ReasonCanaryBlocked:
		answer.Reason, answer.abnormal = v1alpha1.ReasonCanaryBlocked, ""
		answer.Message = "something else refuses the canary of the gate: " + bounded(epoch.Detail, 200)
	default:
		return answer, true
	}
	return answer, false
}

func bounded(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return text[:limit] + "..."
}

// set writes one condition. The time of its transition changes with its status alone.
func set(status *v1alpha1.LabWorkloadStatus, name string, answer posture.Verdict, now time.Time) {
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: name, Status: answer.Status(), Reason: answer.Reason, Message: answer.Message,
		ObservedGeneration: status.ObservedGeneration, LastTransitionTime: metav1.NewTime(now.UTC().Truncate(time.Second)),
	})
}

func instant(at time.Time) *metav1.Time {
	if at.IsZero() {
		return nil
	}
	rounded := metav1.NewTime(at.UTC().Truncate(time.Second))
	return &rounded
}
