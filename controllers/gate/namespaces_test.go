// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/labguard/labguard/api/v1alpha1"
)

// register is the list of namespaces over time, as the webhook configurations have it.
type register struct {
	*testing.T
	reconciler *Reconciler
	clock      *testingclock.FakePassiveClock
	listed     []string
}

func newRegister(t *testing.T) *register {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	r := &register{T: t, clock: testingclock.NewFakePassiveClock(instant)}
	byName := func(object client.Object) []string { return []string{object.GetName()} }
	r.reconciler = &Reconciler{
		Client: fake.NewClientBuilder().WithScheme(scheme).WithIndex(&v1alpha1.RolloutRecord{}, EpochField, byName).Build(),
		Clock:  r.clock, Excluded: []string{"cert-manager"},
	}
	return r
}

// restart forgets what only the memory of a process has.
func (r *register) restart() {
	earlier := r.reconciler
	r.reconciler = &Reconciler{Client: earlier.Client, Clock: earlier.Clock, Excluded: earlier.Excluded}
}

func (r *register) declare(namespace string, change ...func(*v1alpha1.LabWorkloadSpec)) {
	r.Helper()
	workload := &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "lis"},
		Spec: v1alpha1.LabWorkloadSpec{
			Selector:    metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}},
			Enforcement: v1alpha1.EnforcementEnforce, Images: &v1alpha1.ImagesSpec{MaxAge: "2160h"},
		},
	}
	for _, one := range change {
		one(&workload.Spec)
	}
	if err := r.reconciler.Create(r.Context(), workload); err != nil {
		r.Fatal(err)
	}
}

func (r *register) remove(namespace string) {
	r.Helper()
	workload := &v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "lis"}}
	if err := r.reconciler.Delete(r.Context(), workload, client.GracePeriodSeconds(0)); err != nil {
		r.Fatal(err)
	}
}

// at looks at an instant and checks which namespaces are to be listed from then on, and when that changes (zero: never by time alone).
func (r *register) at(since, next time.Duration, want ...string) {
	r.Helper()
	r.clock.SetTime(instant.Add(since))
	live := &objects{}
	if len(r.listed) > 0 {
		live.validating.Items = []admissionv1.ValidatingWebhookConfiguration{{Webhooks: []admissionv1.ValidatingWebhook{{
			NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
				Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpIn, Values: r.listed,
			}}},
		}}}}
	}
	names, changes, err := r.reconciler.namespaces(r.Context(), live)
	if err != nil {
		r.Fatal(err)
	}
	if diff := cmp.Diff(append([]string{}, want...), names); diff != "" {
		r.Errorf("after %s the list differs (-want +got):\n%s", since, diff)
	}
	if wanted := instant.Add(next); next == 0 && !changes.IsZero() || next != 0 && !changes.Equal(wanted) {
		r.Errorf("after %s the next change is %s, want %s", since, changes, wanted)
	}
	r.listed = names
}

func TestANamespaceIsListedAtOnceAndLeavesAfterTenMinutes(t *testing.T) {
	r := newRegister(t)
	r.declare("pathology")
	r.declare("chemistry")
	r.at(0, 0, "chemistry", "pathology")
	r.remove("chemistry")
	r.at(time.Minute, 11*time.Minute, "chemistry", "pathology")
	r.at(11*time.Minute-time.Nanosecond, 11*time.Minute, "chemistry", "pathology")
	r.at(11*time.Minute, 0, "pathology")
	r.at(12*time.Minute, 0, "pathology")
}

func TestWhatIsCreatedAnewWithinTenMinutesOpensNoGap(t *testing.T) {
	r := newRegister(t)
	r.declare("pathology")
	r.at(0, 0, "pathology")
	r.remove("pathology")
	r.at(time.Minute, 11*time.Minute, "pathology")
	r.declare("pathology")
	r.at(10*time.Minute, 0, "pathology")
	r.at(30*time.Minute, 0, "pathology")
	r.remove("pathology")
	r.at(31*time.Minute, 41*time.Minute, "pathology")
	r.at(41*time.Minute, 0)
}

func TestARestartGivesAListedNamespaceTenMinutesMore(t *testing.T) {
	r := newRegister(t)
	r.declare("pathology")
	r.at(0, 0, "pathology")
	r.remove("pathology")
	r.at(time.Minute, 11*time.Minute, "pathology")
	r.restart()
	r.at(9*time.Minute, 19*time.Minute, "pathology")
	r.at(19*time.Minute, 0)
}

func TestOnlyNamespacesThatEnforceTheAgeOfImagesAreListed(t *testing.T) {
	r := newRegister(t)
	r.declare("audits", func(spec *v1alpha1.LabWorkloadSpec) { spec.Enforcement = v1alpha1.EnforcementAudit })
	r.declare("isolates", func(spec *v1alpha1.LabWorkloadSpec) { spec.Images = nil })
	r.declare("cert-manager")
	r.declare("suspended", func(spec *v1alpha1.LabWorkloadSpec) { spec.Suspend = true })
	r.declare("tomorrow", func(spec *v1alpha1.LabWorkloadSpec) {
		spec.EnforceAfter = instant.Add(24 * time.Hour).Format(time.RFC3339)
	})
	r.at(0, 24*time.Hour, "suspended")
	r.at(24*time.Hour, 0, "suspended", "tomorrow")
}

func TestANamespaceThatIsExcludedLaterLeavesAtOnce(t *testing.T) {
	r := newRegister(t)
	r.listed = []string{"cert-manager"}
	r.at(0, 0)
}

// A namespace in which something is held stays listed: only a webhook gives back what a hold has replaced in the write that releases it.
func TestANamespaceStaysListedWhileSomethingIsHeldInIt(t *testing.T) {
	r := newRegister(t)
	epoch := func(namespace string, held int32) *v1alpha1.RolloutRecord {
		return &v1alpha1.RolloutRecord{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.EpochRecordName},
			Spec:       v1alpha1.RolloutRecordSpec{Epoch: &v1alpha1.Epoch{Held: held}},
		}
	}
	other := epoch("radiology", 1)
	other.Name = "deployment-epoch"
	for _, record := range []*v1alpha1.RolloutRecord{epoch("pathology", 2), epoch("chemistry", 0), epoch("cert-manager", 1), other} {
		if err := r.reconciler.Create(t.Context(), record); err != nil {
			t.Fatal(err)
		}
	}
	names, _, err := r.reconciler.namespaces(t.Context(), &objects{})
	if diff := cmp.Diff([]string{"pathology"}, names); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
