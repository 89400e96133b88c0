// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package standing

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

// NotLookedAt is the reason of what labguard has not answered yet. No condition has it.
const NotLookedAt = "NotLookedAt"

// Workload is how a LabWorkload stands. It is also what programs read.
type Workload struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Compliant is the sum, and Ready whether labguard has done its part.
	Compliant Answer `json:"compliant"`
	Ready     Answer `json:"ready"`
	// Enforcement is what is in force, and EnforcedSince since when the gate for images is known to stand.
	Enforcement   string     `json:"enforcement,omitempty"`
	EnforcedSince *time.Time `json:"enforcedSince,omitempty"`
	// Behind says that the status speaks of an earlier generation of the spec.
	Behind bool `json:"behind,omitempty"`
	// NextChange is when time alone changes an answer, and Overdue says that it has passed and labguard has not looked since: what was true may not be any more.
	NextChange *time.Time `json:"nextChange,omitempty"`
	Overdue    bool       `json:"overdue,omitempty"`
	// Requirements are those that the spec makes.
	Requirements []Requirement `json:"requirements"`
	// BreakGlass is there while a use of break glass is not acknowledged.
	BreakGlass *Answer `json:"breakGlass,omitempty"`
	// Held is how many rollouts are held.
	Held int32 `json:"held,omitempty"`
}

// Answer is a condition.
type Answer struct {
	Status  metav1.ConditionStatus `json:"status"`
	Reason  string                 `json:"reason"`
	Message string                 `json:"message,omitempty"`
	// Since is when the status last changed.
	Since *time.Time `json:"since,omitempty"`
}

// Requirement is the answer to one requirement with what it rests on.
type Requirement struct {
	// Type is the type of the condition.
	Type string `json:"type"`
	Answer
	// Until is the first instant that the status knows of at which a True can end.
	Until *time.Time `json:"until,omitempty"`
	// Evidence is what the answer rests on.
	Evidence []Evidence `json:"evidence,omitempty"`
}

// Evidence is one line of it.
type Evidence struct {
	// Good, Bad and Unsure say what it means for the answer; Note means nothing in particular.
	Weight Weight `json:"weight"`
	Text   string `json:"text"`
	// Until is when it ends; nil if it does not.
	Until *time.Time `json:"until,omitempty"`
}

// Weight is what a line of evidence means for an answer.
type Weight string

// The weights.
const (
	Note   Weight = "Note"
	Good   Weight = "Good"
	Bad    Weight = "Bad"
	Unsure Weight = "Unsure"
)

// Of says how a LabWorkload stands.
func Of(lw *v1alpha1.LabWorkload, now time.Time) Workload {
	status := &lw.Status
	w := Workload{
		Namespace: lw.Namespace, Name: lw.Name, Enforcement: status.Enforcement, Held: status.HeldCount,
		Compliant: answer(status, v1alpha1.ConditionCompliant), Ready: answer(status, v1alpha1.ConditionReady),
		EnforcedSince: utc(status.EnforcedSince), NextChange: utc(status.NextChangeAt), Requirements: []Requirement{},
		Behind: lw.Status.ObservedGeneration >= 0 && Behind(lw), Overdue: Overdue(lw, now),
	}
	for _, name := range posture.Requirements() {
		// A condition without its requirement is of an earlier spec.
		if !made(&lw.Spec, name) {
			continue
		}
		one := Requirement{Type: name, Answer: answer(status, name)}
		one.Evidence = evidence(lw, name, now)
		if one.Status == metav1.ConditionTrue {
			one.Until = until(one.Evidence, now)
		}
		w.Requirements = append(w.Requirements, one)
	}
	if used := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionBreakGlassUsed); used != nil {
		open := answer(status, v1alpha1.ConditionBreakGlassUsed)
		w.BreakGlass = &open
	}
	return w
}

// Complies says whether everything is known to be as it should.
func (w *Workload) Complies() bool { return w.known() == metav1.ConditionTrue }

// known is whether it complies, as far as that is known now: a True of an earlier spec, or of an earlier time, says nothing.
func (w *Workload) known() metav1.ConditionStatus {
	if w.Compliant.Status == metav1.ConditionTrue && (w.Behind || w.Overdue) {
		return metav1.ConditionUnknown
	}
	return w.Compliant.Status
}

// Behind says whether labguard has not looked at the latest spec of a LabWorkload, or at none.
func Behind(lw *v1alpha1.LabWorkload) bool {
	return lw.Status.ObservedGeneration < lw.Generation
}

// lateAfter is how late an answer may change: labguard spreads reports over a minute. The alert LabguardEvaluationLate allows the same.
const lateAfter = 5 * time.Minute

// Overdue says whether an answer of the status should have changed by time alone, and labguard has not looked since.
func Overdue(lw *v1alpha1.LabWorkload, now time.Time) bool {
	next := lw.Status.NextChangeAt
	return next != nil && !next.IsZero() && now.Sub(next.Time) > lateAfter
}

// Outdated says why a True of the status of a LabWorkload shows nothing now; "" if nothing speaks against it.
func Outdated(lw *v1alpha1.LabWorkload, now time.Time) string {
	switch {
	case Behind(lw):
		return "labguard has not looked at the latest spec of " + lw.Namespace + "/" + lw.Name + " yet"
	case Overdue(lw, now):
		return "an answer about " + lw.Namespace + "/" + lw.Name + " was to change " + when(lw.Status.NextChangeAt.UTC(), now) + ", and labguard has not looked since: is it running?"
	default:
		return ""
	}
}

func answer(status *v1alpha1.LabWorkloadStatus, name string) Answer {
	condition := meta.FindStatusCondition(status.Conditions, name)
	if condition == nil {
		return Answer{Status: metav1.ConditionUnknown, Reason: NotLookedAt, Message: "labguard has not answered yet: is it running?"}
	}
	return Answer{Status: condition.Status, Reason: condition.Reason, Message: condition.Message, Since: utc(&condition.LastTransitionTime)}
}

// made says whether the spec makes a requirement.
func made(spec *v1alpha1.LabWorkloadSpec, name string) bool {
	switch name {
	case v1alpha1.ConditionNetworkIsolated:
		return posture.RestrictsNetwork(spec)
	case v1alpha1.ConditionTransitEncrypted:
		return posture.Transit(spec) != nil
	case v1alpha1.ConditionMFAEnforced:
		return spec.MFA != nil
	case v1alpha1.ConditionStaffTrained:
		return spec.Training != nil
	case v1alpha1.ConditionImagesFresh:
		return spec.Images != nil
	}
	return true // one that is new here is shown rather than left out
}

// until is the earliest end that is still to come.
func until(lines []Evidence, now time.Time) *time.Time {
	var first time.Time
	for _, line := range lines {
		if line.Until != nil && line.Until.After(now) {
			first = posture.Earliest(first, *line.Until)
		}
	}
	if first.IsZero() {
		return nil
	}
	return &first
}

func utc(at *metav1.Time) *time.Time {
	if at == nil || at.IsZero() {
		return nil
	}
	in := at.UTC()
	return &in
}

// Sort puts what does not comply first, then by namespace and name.
func Sort(workloads []Workload) {
	order := []metav1.ConditionStatus{metav1.ConditionFalse, metav1.ConditionUnknown, metav1.ConditionTrue}
	slices.SortFunc(workloads, func(a, b Workload) int {
		return cmp.Or(slices.Index(order, a.known())-slices.Index(order, b.known()), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}
