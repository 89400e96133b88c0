// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/access"
	"github.com/labguard/labguard/internal/posture/logins"
	"github.com/labguard/labguard/internal/posture/rights"
	"github.com/labguard/labguard/internal/posture/training"
)

// knownWithin is how long after the first look an answer stands that rests on what has not been read yet. A process that starts takes nobody's word back.
const knownWithin = 2 * time.Minute

// Rights knows who could go around the gate for people. The report is not there until somebody has looked.
type Rights interface {
	Report() (rights.Report, bool)
}

// Training has the training records. They are not there until they were read.
type Training interface {
	Index() (*training.Index, bool)
}

// AccessWebhook knows whether the API server asks labguard before anybody gets into a pod of a namespace and, if changes is set, before anybody changes what runs
// there, and refuses where labguard does not answer.
type AccessWebhook interface {
	Stands(ctx context.Context, namespace string, changes bool) (bool, error)
}

// PeopleEvents is what Rights and Training may offer beyond that: listen is called whenever they know something else.
type PeopleEvents interface {
	Notify(listen func())
}

// People is what the answers about people rest on, beside objects. Of what is nil nothing is known, and no answer is True because of it.
type People struct {
	Rights   Rights
	Training Training
	Webhook  AccessWebhook
	// GitTrusted says that what Git weakens takes effect without a person's approval.
	GitTrusted bool
}

// +kubebuilder:rbac:groups=labguard.dev,resources=breakglassuses;identityproviders;trainingrecords,verbs=get;list;watch
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingwebhookconfigurations,verbs=get;list;watch

// people is what a scope has gathered of them.
type people struct {
	providers []access.Provider
	proofs    []access.Proof
	// users are those whose use of break glass nobody has acknowledged.
	users []string
	// stands says that the webhook stands in the namespace. That it answers, nobody but a proof shows.
	stands bool

	report      rights.Report
	rightsKnown bool
	index       *training.Index
	indexKnown  bool
	// standsUntil is until when an answer stands that rests on what is not known yet; zero: it stands no more.
	standsUntil time.Time
}

// beginning is when a process has looked first. The zero value is ready.
type beginning struct {
	lock sync.Mutex
	at   time.Time
}

func (b *beginning) since(now time.Time) time.Time {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.at.IsZero() {
		b.at = now
	}
	return b.at
}

// gatherPeople reads what decides about people, where the LabWorkload asks something of them.
func (r *Reconciler) gatherPeople(ctx context.Context, s *scope) error {
	if ends := r.began.since(s.now).Add(knownWithin); s.now.Before(ends) {
		s.people.standsUntil = ends
	}
	spec := &s.workload.Spec
	if spec.MFA == nil && spec.Training == nil {
		return nil
	}
	if spec.Training != nil && r.People.Training != nil {
		s.people.index, s.people.indexKnown = r.People.Training.Index()
	}
	if err := r.gatherBreakGlass(ctx, s); err != nil {
		return err
	}
	if r.People.Webhook != nil {
		changes := spec.MFA != nil && coversChange(spec.MFA.Covers) || spec.Training != nil && coversChange(spec.Training.Covers)
		var err error
		if s.people.stands, err = r.People.Webhook.Stands(ctx, s.workload.Namespace, changes); err != nil {
			return fmt.Errorf("look for the webhook about people in namespace %s: %w", s.workload.Namespace, err)
		}
	}
	if spec.MFA == nil {
		return nil
	}
	return r.gatherLogins(ctx, s)
}

func coversChange(covers []v1alpha1.AccessCover) bool {
	return len(covers) == 0 || slices.Contains(covers, v1alpha1.CoverChange)
}

// gatherLogins reads whose word about logins counts, and who could go around it.
func (r *Reconciler) gatherLogins(ctx context.Context, s *scope) error {
	if r.People.Rights != nil {
		s.people.report, s.people.rightsKnown = r.People.Rights.Report()
	}
	var providers v1alpha1.IdentityProviderList
	if err := r.List(ctx, &providers, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list IdentityProviders: %w", err)
	}
	for i := range providers.Items {
		one := &providers.Items[i]
		s.people.providers = append(s.people.providers, logins.Provider(&one.Spec))
		if at := one.Status.ClaimsSeenAt; at != nil && !outdated(one) {
			s.people.proofs = append(s.people.proofs, access.Proof{Issuer: one.Spec.Issuer, At: at.Time})
		}
	}
	return nil
}

// outdated says whether the proof that is noted may be of other claims than the provider is now said to prove; it is about to be withdrawn.
func outdated(provider *v1alpha1.IdentityProvider) bool {
	told := meta.FindStatusCondition(provider.Status.Conditions, v1alpha1.ConditionClaimsSeen)
	return told != nil && told.ObservedGeneration != provider.Generation
}

func (r *Reconciler) gatherBreakGlass(ctx context.Context, s *scope) error {
	var uses v1alpha1.BreakGlassUseList
	if err := r.List(ctx, &uses, client.InNamespace(s.workload.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the uses of break glass in namespace %s: %w", s.workload.Namespace, err)
	}
	for i := range uses.Items {
		if uses.Items[i].Spec.Acknowledgement == nil {
			s.people.users = append(s.people.users, uses.Items[i].Spec.User)
		}
	}
	slices.Sort(s.people.users)
	s.people.users = slices.Compact(s.people.users)
	return nil
}

// decidePeople answers MFAEnforced, StaffTrained and BreakGlassUsed.
func (r *Reconciler) decidePeople(s *scope, d *decision) {
	if len(s.people.users) > 0 {
		used := posture.Phrase(metav1.ConditionTrue, v1alpha1.ReasonBreakGlassOpen,
			"break glass was used by %s: look at what was done, then acknowledge it with kubectl labguard break-glass", s.people.users)
		d.breakGlass = &used
	}
	if s.workload.Spec.MFA != nil {
		d.mfa = s.lasting(v1alpha1.ConditionMFAEnforced, s.people.rightsKnown, r.judgeMFA(s))
	}
	if asked := s.workload.Spec.Training; asked != nil {
		answer := posture.Phrase(metav1.ConditionUnknown, string(access.ReasonTrainingUnknown), "labguard has not read the training records yet")
		if s.people.indexKnown {
			answer = r.trained.judge(training.Asked(*asked), s.people.index, s.now)
		}
		d.training = s.lasting(v1alpha1.ConditionStaffTrained, s.people.indexKnown, answer)
	}
}

func (r *Reconciler) judgeMFA(s *scope) posture.Verdict {
	seen := access.Observation{
		Rule: logins.Rule(s.workload.Spec.MFA), Enforced: s.enforcement.MFA, Providers: s.people.providers, Proofs: s.people.proofs,
		WebhookAnswers: s.people.stands, RightsKnown: s.people.rightsKnown, BreakGlassUses: s.people.users, GitTrusted: r.People.GitTrusted,
	}
	for _, found := range s.people.report.Findings {
		one := access.Finding{Reason: string(found.Reason), Who: found.Subject.String()}
		if !slices.Contains(seen.Findings, one) {
			seen.Findings = append(seen.Findings, one)
		}
	}
	return access.Judge(seen, s.now)
}

// asksAtTheDoor says whether people are asked for something before they get into a pod, and refused without it.
func (s *scope) asksAtTheDoor() bool {
	covered := func(covers []v1alpha1.AccessCover) bool {
		return len(covers) == 0 || slices.Contains(covers, v1alpha1.CoverAccess)
	}
	spec := &s.workload.Spec
	return s.enforcement.MFA && covered(spec.MFA.Covers) || s.enforcement.Training && covered(spec.Training.Covers)
}

// notAsked says why nobody is asked for logins and training where that is enforced.
func (s *scope) notAsked() (readyAnswer, bool) {
	answer := readyAnswer{posture.Verdict{Answer: metav1.ConditionFalse, Reason: v1alpha1.ReasonWaiting}, v1alpha1.ConditionReconciling}
	switch {
	case s.people.stands || !s.asksAtTheDoor():
		return answer, false
	case s.excluded:
		answer.Reason, answer.abnormal = v1alpha1.ReasonNamespaceExcluded, v1alpha1.ConditionStalled
		answer.Message = "the namespace is on the platform's exclusion list: nobody is asked for logins or training here"
	default:
		answer.Message = "waiting for the webhook that asks people for logins and training to stand in this namespace"
	}
	return answer, true
}

// lasting is the answer, or for a while after the process has begun the one that the status has of the same spec, if what it rests on is not known yet.
func (s *scope) lasting(condition string, known bool, answer posture.Verdict) *posture.Verdict {
	before := meta.FindStatusCondition(s.workload.Status.Conditions, condition)
	if known || s.people.standsUntil.IsZero() || before == nil || before.ObservedGeneration != s.workload.Generation || before.Reason == answer.Reason {
		return &answer
	}
	return &posture.Verdict{Answer: before.Status, Reason: before.Reason, Message: before.Message, NextChange: s.people.standsUntil}
}
