// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/access"
	"github.com/labguard/labguard/internal/desired/gate"
)

// lab is one LabWorkload that asks people for something.
func lab(namespace string, change ...func(*v1alpha1.LabWorkloadSpec)) *v1alpha1.LabWorkload {
	workload := &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "lis"},
		Spec: v1alpha1.LabWorkloadSpec{
			Selector:    metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}},
			Enforcement: v1alpha1.EnforcementEnforce, MFA: &v1alpha1.MFASpec{MaxAge: "12h"},
		},
	}
	for _, one := range change {
		one(&workload.Spec)
	}
	return workload
}

func mfa(change func(*v1alpha1.MFASpec)) func(*v1alpha1.LabWorkloadSpec) {
	return func(spec *v1alpha1.LabWorkloadSpec) { change(spec.MFA) }
}

func training(change func(*v1alpha1.TrainingSpec)) func(*v1alpha1.LabWorkloadSpec) {
	return func(spec *v1alpha1.LabWorkloadSpec) {
		spec.MFA, spec.Training = nil, &v1alpha1.TrainingSpec{Courses: []v1alpha1.Course{"phishing-basics"}}
		change(spec.Training)
	}
}

func audits(spec *v1alpha1.LabWorkloadSpec) { spec.Enforcement = v1alpha1.EnforcementAudit }

func provider(name, issuer string) *v1alpha1.IdentityProvider {
	return &v1alpha1.IdentityProvider{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.IdentityProviderSpec{
		Issuer: issuer, ClaimKeys: v1alpha1.ClaimKeys{Methods: "idp.example/amr"}, Proves: []v1alpha1.ProvenClaim{v1alpha1.ProvesMethods},
	}}
}

// desk is a reconciler whose objects about people are looked at over time.
type desk struct {
	*testing.T
	*Reconciler
	clock *testingclock.FakePassiveClock
}

func newDesk(t *testing.T, objects ...client.Object) *desk {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	clock := testingclock.NewFakePassiveClock(instant)
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	return &desk{T: t, clock: clock, Reconciler: &Reconciler{
		Client: api, Live: api, Clock: clock, Excluded: []string{"cert-manager"},
		Access: access.Config{Machines: []access.Machine{{Namespace: "gitops", Name: "argo"}}},
	}}
}

// keep writes what is wanted after a while, and gives what stands then and when it changes by time alone.
func (d *desk) keep(since time.Duration) ([]access.Namespace, time.Time) {
	d.Helper()
	d.clock.SetTime(instant.Add(since))
	live, err := gatherFrom(d.Context(), d.Client)
	if err != nil {
		d.Fatal(err)
	}
	next, err := d.keepAccess(d.Context(), live, gate.Config{
		LabguardUser: "labguard", Endpoint: gate.Endpoint{URL: "https://localhost:9"}, CABundle: []byte("CA"), AnchorName: AnchorName, AnchorUID: "1",
	})
	if err != nil {
		d.Fatal(err)
	}
	if live, err = gatherFrom(d.Context(), d.Client); err != nil {
		d.Fatal(err)
	}
	return live.listedForPeople(), next
}

func (d *desk) stands(since time.Duration, want ...access.Namespace) time.Time {
	d.Helper()
	got, next := d.keep(since)
	if diff := cmp.Diff(want, got); diff != "" {
		d.Errorf("after %s (-want +got):\n%s", since, diff)
	}
	return next
}

func (d *desk) create(object client.Object) {
	d.Helper()
	if err := d.Create(d.Context(), object); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) remove(object client.Object) {
	d.Helper()
	if err := d.Delete(d.Context(), object); err != nil {
		d.Fatal(err)
	}
}

func TestWhatIsAskedOfPeopleInEachNamespace(t *testing.T) {
	onlyChange, onlyAccess := []v1alpha1.AccessCover{v1alpha1.CoverChange}, []v1alpha1.AccessCover{v1alpha1.CoverAccess}
	warn := mfa(func(m *v1alpha1.MFASpec) { m.OnUnproven = v1alpha1.OnUnprovenWarn })
	enforced := access.Namespace{Name: "pathology", Access: access.Enforced, Change: access.Enforced, Guarded: true}
	unguarded := enforced
	unguarded.Guarded = false
	idp := provider("idp", "https://idp.example")
	for name, c := range map[string]struct {
		objects []client.Object
		want    []access.Namespace
	}{
		"nothing":            {[]client.Object{lab("pathology", func(s *v1alpha1.LabWorkloadSpec) { s.MFA = nil })}, nil},
		"a login":            {[]client.Object{lab("pathology")}, []access.Namespace{enforced}},
		"training":           {[]client.Object{lab("pathology", training(func(*v1alpha1.TrainingSpec) {}))}, []access.Namespace{enforced}},
		"in audit":           {[]client.Object{lab("pathology", audits)}, []access.Namespace{{Name: "pathology", Access: access.Told, Change: access.Told}}},
		"excluded":           {[]client.Object{lab("cert-manager")}, nil},
		"changes alone":      {[]client.Object{lab("pathology", mfa(func(m *v1alpha1.MFASpec) { m.Covers = onlyChange }))}, []access.Namespace{{Name: "pathology", Change: access.Enforced}}},
		"ways in alone":      {[]client.Object{lab("pathology", mfa(func(m *v1alpha1.MFASpec) { m.Covers = onlyAccess }))}, []access.Namespace{{Name: "pathology", Access: access.Enforced, Guarded: true}}},
		"enforcement of its": {[]client.Object{lab("pathology", audits, mfa(func(m *v1alpha1.MFASpec) { m.Enforcement = v1alpha1.EnforcementEnforce }))}, []access.Namespace{enforced}},
		"a login for ways in, and training for changes in audit": {
			[]client.Object{lab("pathology", mfa(func(m *v1alpha1.MFASpec) { m.Covers = onlyAccess }), func(s *v1alpha1.LabWorkloadSpec) {
				s.Training = &v1alpha1.TrainingSpec{Covers: onlyChange, Enforcement: v1alpha1.EnforcementAudit}
			})},
			[]access.Namespace{{Name: "pathology", Access: access.Enforced, Change: access.Told, Guarded: true}},
		},
		"a warning where nobody can prove anything": {[]client.Object{lab("pathology", warn)}, []access.Namespace{unguarded}},
		"a warning where somebody can":              {[]client.Object{lab("pathology", warn), idp}, []access.Namespace{enforced}},
		"two LabWorkloads of which the stricter counts": {
			[]client.Object{lab("pathology"), func() client.Object { other := lab("pathology", audits, warn); other.Name = "archive"; return other }()}, []access.Namespace{enforced},
		},
	} {
		t.Run(name, func(t *testing.T) { newDesk(t, c.objects...).stands(0, c.want...) })
	}
}

func TestANamespaceStaysAsItWasForTenMinutesAfterItsLastLabWorkload(t *testing.T) {
	enforced := access.Namespace{Name: "pathology", Access: access.Enforced, Change: access.Enforced, Guarded: true}
	told := access.Namespace{Name: "oncology", Access: access.Told, Change: access.Told}
	d := newDesk(t, lab("pathology"), lab("oncology", audits))
	if next := d.stands(0, told, enforced); !next.IsZero() {
		t.Errorf("it changes by time at %s", next)
	}
	d.remove(lab("pathology"))
	d.remove(lab("oncology"))
	if next := d.stands(time.Minute, enforced); !next.Equal(instant.Add(11 * time.Minute)) {
		t.Errorf("it changes at %s", next)
	}
	d.create(lab("pathology"))
	d.stands(9*time.Minute, enforced)
	d.remove(lab("pathology"))
	d.stands(10*time.Minute, enforced)
	d.stands(20*time.Minute-time.Nanosecond, enforced)
	d.stands(20 * time.Minute)
	d.create(lab("pathology"))
	d.stands(21*time.Minute, enforced)
	audit := lab("pathology", audits)
	if err := d.Get(t.Context(), client.ObjectKeyFromObject(audit), audit); err != nil {
		t.Fatal(err)
	}
	audit.Spec.Enforcement = v1alpha1.EnforcementAudit
	if err := d.Update(t.Context(), audit); err != nil {
		t.Fatal(err)
	}
	d.stands(22*time.Minute, access.Namespace{Name: "pathology", Access: access.Told, Change: access.Told})
}

func TestTheDayOfEnforcementComesByItself(t *testing.T) {
	d := newDesk(t, lab("pathology", func(spec *v1alpha1.LabWorkloadSpec) {
		spec.EnforceAfter = instant.Add(24 * time.Hour).Format(time.RFC3339)
	}))
	if next := d.stands(0, access.Namespace{Name: "pathology", Access: access.Told, Change: access.Told}); !next.Equal(instant.Add(24 * time.Hour)) {
		t.Errorf("it changes at %s", next)
	}
	d.stands(24*time.Hour, access.Namespace{Name: "pathology", Access: access.Enforced, Change: access.Enforced, Guarded: true})
}

func TestKeysOfProvidersAndEndpointsReachTheObjects(t *testing.T) {
	d := newDesk(t, lab("pathology"), provider("idp", "https://idp.example"))
	d.keep(0)
	var guard admissionv1.ValidatingAdmissionPolicy
	if err := d.Get(t.Context(), client.ObjectKey{Name: access.Name}, &guard); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(guard.Spec.Variables, func(v admissionv1.Variable) bool { return strings.Contains(v.Expression, "idp.example/amr") }) {
		t.Errorf("the policy does not know the key of the provider: %v", guard.Spec.Variables)
	}
	var configuration admissionv1.ValidatingWebhookConfiguration
	if err := d.Get(t.Context(), client.ObjectKey{Name: access.Name}, &configuration); err != nil {
		t.Fatal(err)
	}
	first := configuration.Webhooks[0].ClientConfig
	if first.URL == nil || *first.URL != "https://localhost:9/validate-access" || string(first.CABundle) != "CA" || len(configuration.OwnerReferences) != 1 {
		t.Errorf("%v, owned by %v", first, configuration.OwnerReferences)
	}
}

func TestNothingAboutPeopleIsLeftBehind(t *testing.T) {
	d := newDesk(t, lab("pathology"))
	d.keep(0)
	d.remove(lab("pathology"))
	d.keep(time.Minute)
	d.keep(11 * time.Minute)
	for _, object := range []client.Object{
		&admissionv1.ValidatingWebhookConfiguration{}, &admissionv1.ValidatingAdmissionPolicy{}, &admissionv1.ValidatingAdmissionPolicyBinding{},
	} {
		if err := d.Get(t.Context(), client.ObjectKey{Name: access.Name}, object); !apierrors.IsNotFound(err) {
			t.Errorf("%T without a namespace: %v", object, err)
		}
	}
	if err := d.Get(t.Context(), client.ObjectKey{Name: access.BreakGlassName}, &admissionv1.ValidatingAdmissionPolicy{}); err != nil {
		t.Errorf("records of break glass stay when nothing asks any more: %v", err)
	}
	d.create(lab("pathology"))
	d.keep(12 * time.Minute)
	if err := d.TearDown(t.Context()); err != nil {
		t.Fatal(err)
	}
	live, err := gatherFrom(t.Context(), d.Client)
	if err != nil {
		t.Fatal(err)
	}
	if left := slices.Concat(live.webhooks(), live.policies()); len(left) > 0 {
		t.Errorf("%d objects are left, such as %s", len(left), left[0].GetName())
	}
}

// What asks about people in a namespace asks nobody about its rollouts.
func TestTheGateDoesNotListWhatAsksAboutPeople(t *testing.T) {
	d := newDesk(t, lab("pathology"))
	d.keep(0)
	live, err := gatherFrom(t.Context(), d.Client)
	if err != nil {
		t.Fatal(err)
	}
	if listed := live.listed(); len(listed) > 0 {
		t.Errorf("the gate lists %v", listed)
	}
}
