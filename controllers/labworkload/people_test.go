// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/rights"
	"github.com/labguard/labguard/internal/posture/training"
)

const (
	loginIssuer = "https://login.lab.example"
	course      = "phishing-basics"
)

// knownRights, knownRecords and standing are what the rest of labguard knows.
type knownRights struct {
	report rights.Report
	known  bool
}

func (k *knownRights) Report() (rights.Report, bool) { return k.report, k.known }

type knownRecords struct {
	index *training.Index
	known bool
}

func (k *knownRecords) Index() (*training.Index, bool) { return k.index, k.known }

type standing map[string]bool

func (s standing) Stands(_ context.Context, namespace string, _ bool) (bool, error) {
	return s[namespace], nil
}

// peopleCase is a LabWorkload that asks for logins and training, with all that proves them, changed.
type peopleCase struct {
	workload *v1alpha1.LabWorkload
	objects  []client.Object
	provider *v1alpha1.IdentityProvider
	rights   *knownRights
	records  *knownRecords
	webhook  standing
	people   People
	excluded bool
}

func proven(changes ...func(*peopleCase)) *peopleCase {
	seen := metav1.NewTime(today.Truncate(time.Hour))
	c := &peopleCase{
		workload: &v1alpha1.LabWorkload{
			ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis", Generation: 3},
			Spec: v1alpha1.LabWorkloadSpec{
				Selector: metav1.LabelSelector{MatchLabels: app}, Enforcement: v1alpha1.EnforcementEnforce, MFA: &v1alpha1.MFASpec{MaxAge: "12h"},
				Training: &v1alpha1.TrainingSpec{Courses: []v1alpha1.Course{course}},
			},
		},
		provider: &v1alpha1.IdentityProvider{
			ObjectMeta: metav1.ObjectMeta{Name: "lab", Generation: 1},
			Spec: v1alpha1.IdentityProviderSpec{
				Issuer: loginIssuer, Proves: []v1alpha1.ProvenClaim{v1alpha1.ProvesMethods, v1alpha1.ProvesAuthTime},
			},
			Status: v1alpha1.IdentityProviderStatus{
				ClaimsSeenAt: &seen, Conditions: []metav1.Condition{{Type: v1alpha1.ConditionClaimsSeen, Status: metav1.ConditionTrue, ObservedGeneration: 1}},
			},
		},
		rights: &knownRights{known: true},
		records: &knownRecords{known: true, index: training.NewIndex([]training.Record{
			{Issuer: loginIssuer, Subject: "anna", Course: course, Completed: today.Add(-day), Expires: today.Add(100 * day)},
		})},
		webhook: standing{"pathology": true},
	}
	for _, change := range changes {
		change(c)
	}
	return c
}

func broken(name, user string, acknowledged bool) *v1alpha1.BreakGlassUse {
	use := &v1alpha1.BreakGlassUse{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name}, Spec: v1alpha1.BreakGlassUseSpec{User: user}}
	if acknowledged {
		use.Spec.Acknowledgement = &v1alpha1.BreakGlassAcknowledgement{By: "anna"}
	}
	return use
}

func finding(reason rights.Reason, name string) func(*peopleCase) {
	return func(c *peopleCase) {
		c.rights.report.Findings = append(c.rights.report.Findings, rights.Finding{Reason: reason, Subject: rights.Subject{Kind: rbacv1.UserKind, Name: name}})
	}
}

// look gathers and decides as a reconcile does.
func (c *peopleCase) look(t *testing.T, r *Reconciler, now time.Time) *v1alpha1.LabWorkloadStatus {
	t.Helper()
	objects := c.objects
	if c.provider != nil {
		objects = append(slices.Clip(objects), c.provider)
	}
	r.Client = fake.NewClientBuilder().WithScheme(kinds(t)).WithObjects(objects...).Build()
	r.People = c.people
	r.People.Rights, r.People.Training, r.People.Webhook = c.rights, c.records, c.webhook
	s := &scope{workload: c.workload, now: now, enforcement: posture.EnforcementAt(&c.workload.Spec, now), excluded: c.excluded}
	if err := r.gatherPeople(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	decided, _ := r.decide(s)
	return computeStatus(s, decided, nil)
}

func condition(status *v1alpha1.LabWorkloadStatus, name string) metav1.Condition {
	if found := meta.FindStatusCondition(status.Conditions, name); found != nil {
		return *found
	}
	return metav1.Condition{}
}

func TestMFAEnforcedRestsOnEverythingThatIsKnown(t *testing.T) {
	t.Parallel()
	day2 := metav1.NewTime(today.Add(-day))
	tests := map[string]struct {
		change func(*peopleCase)
		status metav1.ConditionStatus
		reason string
		says   string
	}{
		"proven":                                   {func(*peopleCase) {}, metav1.ConditionTrue, "Enforced", ""},
		"without an answer to Change":              {func(c *peopleCase) { c.workload.Spec.MFA.Covers = []v1alpha1.AccessCover{v1alpha1.CoverAccess} }, metav1.ConditionTrue, "AccessOnly", ""},
		"what Git weakens takes effect":            {func(c *peopleCase) { c.people.GitTrusted = true }, metav1.ConditionTrue, "GitPathNotProven", ""},
		"Audit":                                    {func(c *peopleCase) { c.workload.Spec.MFA.Enforcement = v1alpha1.EnforcementAudit }, metav1.ConditionFalse, "Audit", ""},
		"nobody has looked at rights":              {func(c *peopleCase) { c.rights.known = false }, metav1.ConditionUnknown, "RightsUnknown", ""},
		"somebody can use nodes/proxy":             {finding(rights.NodesProxy, "mallory"), metav1.ConditionUnknown, "NodesProxy", "mallory"},
		"somebody can forge claims":                {finding(rights.ClaimsForgeable, "eve"), metav1.ConditionUnknown, "ClaimsForgeable", "eve"},
		"somebody can become a machine":            {finding(rights.MachineIdentityClaimable, "carol"), metav1.ConditionFalse, "MachineIdentityClaimable", "carol"},
		"somebody can read Secrets":                {finding(rights.SecretsReadable, "dan"), metav1.ConditionTrue, "Enforced", ""},
		"the webhook stands elsewhere":             {func(c *peopleCase) { c.webhook = standing{"radiology": true} }, metav1.ConditionUnknown, "WebhookNotAnswering", ""},
		"break glass was used":                     {func(c *peopleCase) { c.objects = []client.Object{broken("a", "night-1", false)} }, metav1.ConditionUnknown, "BreakGlassOpen", "night-1"},
		"its use is acknowledged":                  {func(c *peopleCase) { c.objects = []client.Object{broken("a", "night-1", true)} }, metav1.ConditionTrue, "Enforced", ""},
		"no provider":                              {func(c *peopleCase) { c.provider = nil }, metav1.ConditionUnknown, "NoClaims", ""},
		"claims were never seen":                   {func(c *peopleCase) { c.provider.Status.ClaimsSeenAt = nil }, metav1.ConditionUnknown, "NoClaims", ""},
		"claims were not seen for a day":           {func(c *peopleCase) { c.provider.Status.ClaimsSeenAt = &day2 }, metav1.ConditionUnknown, "NoRecentProof", ""},
		"the proof is of what was asked before":    {func(c *peopleCase) { c.provider.Generation = 2 }, metav1.ConditionUnknown, "NoClaims", ""},
		"the provider does not prove what is used": {func(c *peopleCase) { c.provider.Spec.Proves = c.provider.Spec.Proves[:1] }, metav1.ConditionUnknown, "NoClaims", ""},
		"another provider names the issuer": {func(c *peopleCase) {
			twin := c.provider.DeepCopy()
			twin.Name = "twin"
			c.objects = []client.Object{twin}
		}, metav1.ConditionUnknown, "NoClaims", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, r := proven(test.change), reconcilerWith(&library{})
			status := c.look(t, r, today)
			got := condition(status, v1alpha1.ConditionMFAEnforced)
			if got.Status != test.status || got.Reason != test.reason || !strings.Contains(got.Message, test.says) || got.ObservedGeneration != 3 {
				t.Errorf("got %s %s: %s", got.Status, got.Reason, got.Message)
			}
			if sum := condition(status, v1alpha1.ConditionCompliant); sum.Status != test.status {
				t.Errorf("the sum is %s: %s", sum.Status, sum.Message)
			}
			c.workload.Status = *status
			if diff := cmp.Diff(status, c.look(t, r, today.Add(time.Minute))); diff != "" {
				t.Errorf("a second look says something else (-first +second):\n%s", diff)
			}
		})
	}
}

func TestMFAEnforcedIsLookedAtWhenTheProofIsADayOld(t *testing.T) {
	t.Parallel()
	status := proven().look(t, reconcilerWith(&library{}), today)
	if want := today.Truncate(time.Hour).Add(day); status.NextChangeAt == nil || !status.NextChangeAt.Time.Equal(want) {
		t.Errorf("the next change is at %v, want %s", status.NextChangeAt, want)
	}
}

func TestStaffTrainedRestsOnTheRecords(t *testing.T) {
	t.Parallel()
	named := func(subject string) func(*peopleCase) {
		return func(c *peopleCase) {
			c.workload.Spec.Training.Subjects = []v1alpha1.TrainingSubject{{Issuer: loginIssuer, Subject: subject}}
		}
	}
	tests := map[string]struct {
		change func(*peopleCase)
		now    time.Time
		status metav1.ConditionStatus
		reason string
	}{
		"all of the records have it":   {func(*peopleCase) {}, today, metav1.ConditionTrue, "StaffTrained"},
		"who is named has it":          {named("anna"), today, metav1.ConditionTrue, "StaffTrained"},
		"it ends within 30 days":       {func(*peopleCase) {}, today.Add(71 * day), metav1.ConditionTrue, "TrainingDueSoon"},
		"it has ended":                 {func(*peopleCase) {}, today.Add(100 * day), metav1.ConditionFalse, "TrainingExpired"},
		"who is named has none":        {named("bert"), today, metav1.ConditionFalse, "TrainingMissing"},
		"another course is asked for":  {func(c *peopleCase) { c.workload.Spec.Training.Courses = []v1alpha1.Course{"hl7"} }, today, metav1.ConditionUnknown, "NobodyKnown"},
		"the records were not read":    {func(c *peopleCase) { *c.records = knownRecords{} }, today, metav1.ConditionUnknown, "TrainingUnknown"},
		"nobody is known, and no name": {func(c *peopleCase) { c.records.index = nil }, today, metav1.ConditionUnknown, "NobodyKnown"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := condition(proven(test.change).look(t, reconcilerWith(&library{}), test.now), v1alpha1.ConditionStaffTrained)
			if got.Status != test.status || got.Reason != test.reason || strings.Contains(got.Message, "anna") || strings.Contains(got.Message, "bert") {
				t.Errorf("got %s %s: %s", got.Status, got.Reason, got.Message)
			}
		})
	}
}

func TestAProcessThatStartsTakesNoAnswerBackBeforeItKnows(t *testing.T) {
	t.Parallel()
	before := proven().look(t, reconcilerWith(&library{}), today)
	r := reconcilerWith(&library{}) // another process
	c := proven(func(c *peopleCase) { c.rights.known, c.records.known = false, false })
	c.workload.Status = *before
	answers := func(now time.Time) [2]string {
		t.Helper()
		status := c.look(t, r, now)
		return [2]string{condition(status, v1alpha1.ConditionMFAEnforced).Reason, condition(status, v1alpha1.ConditionStaffTrained).Reason}
	}
	known, unknown := [2]string{"Enforced", "StaffTrained"}, [2]string{"RightsUnknown", "TrainingUnknown"}
	for _, step := range []struct {
		after time.Duration
		want  [2]string
	}{{0, known}, {knownWithin - time.Second, known}, {knownWithin, unknown}, {time.Hour, unknown}} {
		if got := answers(today.Add(step.after)); got != step.want {
			t.Errorf("after %s: %v, want %v", step.after, got, step.want)
		}
	}
	r = reconcilerWith(&library{})
	c.workload.Generation++ // of another spec nothing was said
	if got := answers(today); got != unknown {
		t.Errorf("of another spec: %v", got)
	}
}

func TestWhatStandsForAWhileIsLookedAtWhenThatEnds(t *testing.T) {
	t.Parallel()
	c := proven(func(c *peopleCase) { c.rights.known = false })
	c.workload.Status = *proven().look(t, reconcilerWith(&library{}), today)
	got := c.look(t, reconcilerWith(&library{}), today)
	if want := today.Add(knownWithin).Truncate(time.Second); got.NextChangeAt == nil || !got.NextChangeAt.Time.Equal(want) {
		t.Errorf("the next change is at %v, want %s", got.NextChangeAt, want)
	}
}

func TestNothingIsReadOfPeopleWhereNothingIsAskedOfThem(t *testing.T) {
	t.Parallel()
	reads := interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
		return errors.New("read")
	}}
	r := reconcilerWith(&library{})
	r.Client = fake.NewClientBuilder().WithScheme(kinds(t)).WithInterceptorFuncs(reads).Build()
	c := proven(func(c *peopleCase) { c.workload.Spec.MFA, c.workload.Spec.Training = nil, nil })
	s := &scope{workload: c.workload, now: today}
	if err := r.gatherPeople(t.Context(), s); err != nil {
		t.Error(err)
	}
	c.workload.Spec.Training = &v1alpha1.TrainingSpec{}
	if err := r.gatherPeople(t.Context(), s); err == nil {
		t.Error("a list that fails is no error")
	}
	c.workload.Spec.MFA, c.workload.Spec.Training = nil, nil
	decided, _ := r.decide(s)
	if status := computeStatus(s, decided, nil); condition(status, v1alpha1.ConditionMFAEnforced).Type != "" || condition(status, v1alpha1.ConditionStaffTrained).Type != "" {
		t.Errorf("there are conditions about people: %+v", status.Conditions)
	}
}

func TestReadyWaitsForTheWebhookThatAsksPeople(t *testing.T) {
	t.Parallel()
	gone := func(c *peopleCase) { c.webhook = nil }
	trainingAlone := func(c *peopleCase) { c.workload.Spec.MFA = nil }
	audit := func(c *peopleCase) { c.workload.Spec.Enforcement = v1alpha1.EnforcementAudit }
	tests := map[string]struct {
		changes []func(*peopleCase)
		reason  string
	}{
		"it stands":                          {nil, v1alpha1.ReasonReconciled},
		"it does not stand":                  {[]func(*peopleCase){gone}, v1alpha1.ReasonWaiting},
		"training alone is asked for":        {[]func(*peopleCase){gone, trainingAlone}, v1alpha1.ReasonWaiting},
		"training alone is asked for, it is": {[]func(*peopleCase){trainingAlone}, v1alpha1.ReasonReconciled},
		"changes alone are asked about": {[]func(*peopleCase){gone, func(c *peopleCase) {
			c.workload.Spec.MFA.Covers, c.workload.Spec.Training.Covers = []v1alpha1.AccessCover{v1alpha1.CoverChange}, []v1alpha1.AccessCover{v1alpha1.CoverChange}
		}}, v1alpha1.ReasonReconciled},
		"Audit needs none":                      {[]func(*peopleCase){gone, audit}, v1alpha1.ReasonAudit},
		"the platform leaves the namespace out": {[]func(*peopleCase){gone, func(c *peopleCase) { c.excluded = true }}, v1alpha1.ReasonNamespaceExcluded},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := condition(proven(test.changes...).look(t, reconcilerWith(&library{}), today), v1alpha1.ConditionReady)
			if got.Reason != test.reason {
				t.Errorf("got %s: %s, want %s", got.Reason, got.Message, test.reason)
			}
		})
	}
}

func TestBreakGlassIsAnnouncedForEachUserAndGoesWhenItIsAcknowledged(t *testing.T) {
	t.Parallel()
	var said announcements
	r := reconcilerWith(&library{})
	r.Recorder = &said
	c := proven()
	for _, step := range []struct {
		uses []client.Object
		want int
		says string
	}{
		{[]client.Object{broken("a", "night-1", false)}, 1, "night-1"},
		{[]client.Object{broken("a", "night-1", false), broken("a2", "night-1", false)}, 0, ""},
		{[]client.Object{broken("a", "night-1", false), broken("b", "night-2", false)}, 1, "night-2"},
		{[]client.Object{broken("a", "night-1", true), broken("b", "night-2", true)}, 0, ""},
	} {
		said, c.objects = nil, step.uses
		status := c.look(t, r, today)
		r.announce(c.workload, status)
		c.workload.Status = *status
		var warned []string
		for _, each := range said {
			if strings.HasPrefix(each, "Warning BreakGlassOpen BreakGlassUsed is True") {
				warned = append(warned, each)
			}
		}
		if len(warned) != step.want || step.want > 0 && !strings.Contains(warned[0], step.says) {
			t.Errorf("with %d uses it says %q", len(step.uses), []string(said))
		}
	}
	if got := condition(&c.workload.Status, v1alpha1.ConditionBreakGlassUsed); got.Type != "" {
		t.Errorf("all is acknowledged, and there is %+v", got)
	}
}

func TestOnlyNewsOfAProviderLooksAtLabWorkloadsAgain(t *testing.T) {
	t.Parallel()
	before := proven().provider
	tests := map[string]struct {
		change func(*v1alpha1.IdentityProvider)
		want   bool
	}{
		"heard of again":             {func(*v1alpha1.IdentityProvider) {}, false},
		"a condition with new words": {func(p *v1alpha1.IdentityProvider) { p.Status.Conditions[0].Message = "x" }, false},
		"another spec":               {func(p *v1alpha1.IdentityProvider) { p.Generation++ }, true},
		"claims have arrived":        {func(p *v1alpha1.IdentityProvider) { p.Status.ClaimsSeenAt = new(metav1.NewTime(today.Add(time.Hour))) }, true},
		"the spec was looked at":     {func(p *v1alpha1.IdentityProvider) { p.Status.Conditions[0].ObservedGeneration = 7 }, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			after := before.DeepCopy()
			test.change(after)
			if got := providerNews.Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
