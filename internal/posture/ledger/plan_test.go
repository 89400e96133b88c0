// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/ledger"
)

func TestNothingIsKeptBeforeTheFirstEnforcement(t *testing.T) {
	observation := beginning(root("lis", "lis:1"), governed(root("audited", "a:1"), ledger.Audited))
	observation.Proof = nil
	if diff := cmp.Diff(ledger.Plan{}, ledger.PlanRecords(observation)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	observation.Proof = &v1alpha1.Epoch{Proof: v1alpha1.ReasonCanaryBlocked, Detail: "another webhook refuses"}
	plan := ledger.PlanRecords(observation)
	if len(plan.Write) != 1 || plan.Write[0].Name != v1alpha1.EpochRecordName || ledger.Begun(plan.Write[0].Spec.Epoch) {
		t.Errorf("a blocked canary begins something: %s", encoded(plan.Write))
	}
}

func TestPreExistingIsWhatIsThereWhenTheEpochBegins(t *testing.T) {
	observation := beginning(
		using(root("lis", "lis:3"), "lis:1", "lis:2"), rootOf("Job", "nightly", "backup:1"), rootOf("CronJob", "nightly", "backup:1"),
		governed(root("audited", "audited:1"), ledger.Audited), governed(root("free", "free:1"), ledger.Ungoverned),
	)
	plan := ledger.PlanRecords(observation)
	var names []string
	for _, written := range plan.Write {
		names = append(names, written.Name)
	}
	if diff := cmp.Diff([]string{"cronjob-nightly", "deployment-audited", "deployment-lis", "run-once", "epoch"}, names); diff != "" {
		t.Errorf("records, the epoch last (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"lis:1 PreExisting", "lis:2 PreExisting", "lis:3 PreExisting"}, reasons(t, plan.Write, "deployment-lis")); diff != "" {
		t.Errorf("lis (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"audited:1 Audit"}, reasons(t, plan.Write, "deployment-audited")); diff != "" {
		t.Errorf("audited (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"backup:1 PreExisting"}, reasons(t, plan.Write, "run-once")); diff != "" {
		t.Errorf("run-once (-want +got):\n%s", diff)
	}
	lis := find(t, plan.Write, "deployment-lis").Spec
	if diff := cmp.Diff(&v1alpha1.RootReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "lis"}, lis.Root); diff != "" {
		t.Errorf("root (-want +got):\n%s", diff)
	}
	if containers := []string{lis.Admitted[0].Container, lis.Admitted[2].Container}; !slices.Equal(containers, []string{"", "c0"}) {
		t.Errorf("containers are %q: only the present template names one", containers)
	}
	if since := lis.GovernedSince; since == nil || !since.Time.Equal(now) {
		t.Errorf("governed since %v", since)
	}
	if got := find(t, plan.Write, "epoch").Spec.Epoch; !got.EnforcedSince.Time.Equal(now) || got.Proof != v1alpha1.ReasonProven {
		t.Errorf("epoch is %+v", got)
	}
}

func TestPreExistingIsGivenOnceInAnEpoch(t *testing.T) {
	observation := beginning(root("lis", "lis:1"))
	after := next(observation)
	for _, proof := range []*v1alpha1.Epoch{nil, proven(now.Add(time.Hour)), {Proof: v1alpha1.ReasonEnforcementNotProven}} {
		after.Proof = proof
		after.Roots = []ledger.ObservedRoot{root("lis", "lis:2"), root("new", "new:1"), rootOf("Pod", "bare", "debug:1")}
		records := apply(after.Records, ledger.PlanRecords(after))
		if diff := cmp.Diff([]string{"lis:1 PreExisting"}, reasons(t, records, "deployment-lis")); diff != "" {
			t.Errorf("an image that came in without admission is taken into the books (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"new:1 EnteredUngoverned"}, reasons(t, records, "deployment-new")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"debug:1 EnteredUngoverned"}, reasons(t, records, "run-once")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := find(t, records, "epoch").Spec.Epoch.EnforcedSince; !got.Time.Equal(now) {
			t.Errorf("the epoch began %s, and now it says %s", now, got)
		}
		after = next(after)
	}
}

func TestACrashBetweenTheRecordsAndTheEpochBeginsAnew(t *testing.T) {
	observation := beginning(using(root("lis", "lis:2"), "lis:1"), root("other", "other:1"), rootOf("Pod", "bare", "debug:1"))
	undisturbed := apply(nil, ledger.PlanRecords(observation))
	for stop := range undisturbed {
		t.Run(fmt.Sprintf("after %d writes", stop), func(t *testing.T) {
			crashed := observation
			crashed.Records = slices.Clone(ledger.PlanRecords(observation).Write[:stop])
			// Before the canary is sent again the books are looked at without a proof.
			crashed.Proof = nil
			if plan := ledger.PlanRecords(crashed); len(plan.Write)+len(plan.Delete) > 0 {
				t.Errorf("without a proof %s is written", encoded(plan))
			}
			crashed.Proof, crashed.Now = proven(now), now.Add(5*time.Second)
			// What comes up meanwhile is there before the epoch has begun.
			crashed.Roots = append(slices.Clone(crashed.Roots), root("late", "late:1"))
			after := apply(crashed.Records, ledger.PlanRecords(crashed))
			for _, name := range []string{"deployment-lis", "deployment-other", "run-once"} {
				if diff := cmp.Diff(reasons(t, undisturbed, name), reasons(t, after, name)); diff != "" {
					t.Errorf("%s (-undisturbed +crashed):\n%s", name, diff)
				}
			}
			if diff := cmp.Diff([]string{"late:1 PreExisting"}, reasons(t, after, "deployment-late")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			crashed.Records, crashed.Proof = after, nil
			if plan := ledger.PlanRecords(crashed); len(plan.Write)+len(plan.Delete) > 0 {
				t.Errorf("planning again: %s", encoded(plan))
			}
		})
	}
}

func TestARootThatIsGovernedLaterKeepsWhatItRunsForItselfAlone(t *testing.T) {
	observation := seen(using(root("late", "late:2"), "late:1"), root("copycat", "late:2"))
	records := apply(observation.Records, ledger.PlanRecords(observation))
	if diff := cmp.Diff([]string{"late:1 EnteredUngoverned", "late:2 EnteredUngoverned"}, reasons(t, records, "deployment-late")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, admitted := ledger.NewSet(nil, []string{"deployment-third"}, records).Admitted("late:2"); admitted {
		t.Error("what entered ungoverned counts for the namespace")
	}
	if _, admitted := ledger.NewSet(nil, []string{"deployment-late"}, records).Admitted("late:2"); !admitted {
		t.Error("what runs is stopped")
	}
}

// F9: the label is moved out, the image is changed, the label comes back.
func TestLeavingGovernanceAndComingBackIsNoFreshStart(t *testing.T) {
	observation := next(seen(annotated(root("lis", "lis:1"), image("lis:1", v1alpha1.AdmittedFresh, now))))
	observation.Roots = []ledger.ObservedRoot{governed(root("lis", "stale:1"), ledger.Ungoverned)}
	observation = next(observation)
	lis := find(t, observation.Records, "deployment-lis")
	if lis.Spec.GovernedSince != nil {
		t.Error("an ungoverned root is governed since some time")
	}
	if diff := cmp.Diff([]string{"lis:1 Fresh"}, reasons(t, observation.Records, "deployment-lis")); diff != "" {
		t.Errorf("while ungoverned (-want +got):\n%s", diff)
	}
	observation.Roots = []ledger.ObservedRoot{root("lis", "stale:1")}
	observation = next(observation)
	if diff := cmp.Diff([]string{"lis:1 Fresh", "stale:1 EnteredUngoverned"}, reasons(t, observation.Records, "deployment-lis")); diff != "" {
		t.Errorf("back again (-want +got):\n%s", diff)
	}
}

func TestAuditIsRecordedAndNeverCountsForMore(t *testing.T) {
	observation := next(seen(governed(root("lis", "lis:1"), ledger.Audited), governed(root("b", "lis:1"), ledger.Audited)))
	if diff := cmp.Diff([]string{"lis:1 Audit"}, reasons(t, observation.Records, "deployment-lis")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if since := find(t, observation.Records, "deployment-lis").Spec.GovernedSince; since != nil {
		t.Errorf("audited, and governed since %s", since)
	}
	observation.Roots = []ledger.ObservedRoot{root("lis", "lis:1")}
	observation.Proof = proven(now)
	observation = next(observation)
	if diff := cmp.Diff([]string{"lis:1 Audit"}, reasons(t, observation.Records, "deployment-lis")); diff != "" {
		t.Errorf("switched to Enforce, the image stays what it was (-want +got):\n%s", diff)
	}
	if _, admitted := ledger.NewSet(nil, []string{"deployment-third"}, observation.Records).Admitted("lis:1"); admitted {
		t.Error("what came under Audit counts for the namespace")
	}
}

func TestWhatComesInDuringRecoveryIsRecordedAsThat(t *testing.T) {
	observation := next(seen(annotated(root("lis", "lis:1"), image("lis:1", v1alpha1.AdmittedFresh, now))))
	observation.Recovery = true
	observation.Roots = []ledger.ObservedRoot{root("lis", "old:1"), root("new", "old:2"), governed(root("audited", "old:3"), ledger.Audited), rootOf("Pod", "bare", "old:4")}
	observation = next(observation)
	want := map[string][]string{
		"deployment-lis": {"lis:1 Fresh", "old:1 Recovery"}, "deployment-new": {"old:2 Recovery"}, "deployment-audited": {"old:3 Audit"},
		"run-once": {"old:4 Recovery"},
	}
	for name, admitted := range want {
		if diff := cmp.Diff(admitted, reasons(t, observation.Records, name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if since := find(t, observation.Records, "epoch").Spec.Epoch.RecoverySince; since == nil || !since.Time.Equal(now) {
		t.Errorf("in recovery since %v, want %s", since, now)
	}
	observation.Now = now.Add(time.Hour)
	if plan := ledger.PlanRecords(observation); len(plan.Write) > 0 {
		t.Errorf("an hour later %s is written", encoded(plan.Write))
	}
	observation.Recovery = false
	observation = next(observation)
	if since := find(t, observation.Records, "epoch").Spec.Epoch.RecoverySince; since != nil {
		t.Errorf("recovery is over, and it says since %s", since)
	}
}

// F10: the instant at which the label was first seen bounds the recovery also where no gate has ever stood.
func TestRecoveryIsBoundedWhereNothingWasProven(t *testing.T) {
	observation := beginning(governed(root("lis", "lis:1"), ledger.Audited))
	observation.Proof, observation.Recovery = nil, true
	observation = next(observation)
	observation.Now = now.Add(23 * time.Hour)
	end, found := ledger.RecoveryEnd(map[string]string{v1alpha1.RecoveryLabel: "1895000000"}, ledger.EpochOf(observation.Records), observation.Now)
	if !found || !end.Equal(now.Add(24*time.Hour)) {
		t.Errorf("recovery ends %s, want 24 h after it was first seen", end)
	}
	if ledger.Begun(ledger.EpochOf(observation.Records)) {
		t.Error("a recovery begins the epoch")
	}
}

func TestAdmissionsAreCopiedAndNeverRecomputed(t *testing.T) {
	fresh := image("lis:2", v1alpha1.AdmittedFresh, now.Add(-400*24*time.Hour))
	fresh.Digest = "sha256:abc"
	observation := next(seen(annotated(root("lis", "lis:2"), fresh)))
	if diff := cmp.Diff([]v1alpha1.AdmittedImage{fresh}, find(t, observation.Records, "deployment-lis").Spec.Admitted); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	later := fresh
	later.Time = metav1.NewTime(now)
	observation.Roots = []ledger.ObservedRoot{annotated(root("lis", "lis:2"), later)}
	if plan := ledger.PlanRecords(observation); len(plan.Write) > 0 {
		t.Errorf("the same admission again is written: %s", encoded(plan.Write))
	}
}

func TestABetterJudgementReplacesAWeakOne(t *testing.T) {
	for _, weak := range []v1alpha1.AdmissionReason{"Audit", "Recovery", "EnteredUngoverned", "Exempt"} {
		observation := seen(annotated(root("lis", "lis:1"), image("lis:1", v1alpha1.AdmittedFresh, now)))
		observation.Records = append(observation.Records, record("deployment-lis", image("lis:1", weak, now.Add(-time.Hour))))
		if diff := cmp.Diff([]string{"lis:1 Fresh"}, reasons(t, next(observation).Records, "deployment-lis")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", weak, diff)
		}
		observation.Roots = []ledger.ObservedRoot{annotated(root("lis", "lis:1"), image("lis:1", weak, now))}
		observation.Records[1] = record("deployment-lis", image("lis:1", v1alpha1.AdmittedFresh, now.Add(-time.Hour)))
		if diff := cmp.Diff([]string{"lis:1 Fresh"}, reasons(t, next(observation).Records, "deployment-lis")); diff != "" {
			t.Errorf("%s takes Fresh away (-want +got):\n%s", weak, diff)
		}
	}
}

func TestAnUngovernedRootHasNoRecordButKeepsTheOneItHas(t *testing.T) {
	annotatedFree := governed(annotated(root("free", "free:1"), image("free:1", v1alpha1.AdmittedFresh, now)), ledger.Ungoverned)
	observation := seen(annotatedFree, governed(rootOf("Pod", "bare", "bare:1"), ledger.Ungoverned))
	if plan := ledger.PlanRecords(observation); len(plan.Write) > 0 {
		t.Errorf("written: %s", encoded(plan.Write))
	}
	observation.Records = append(observation.Records, record("deployment-free"))
	if diff := cmp.Diff([]string{"free:1 Fresh"}, reasons(t, next(observation).Records, "deployment-free")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestJobsAndBarePodsShareARecord(t *testing.T) {
	observation := next(seen(
		annotated(rootOf("Job", "nightly-1", "backup:1"), image("backup:1", v1alpha1.AdmittedFresh, now)),
		annotated(rootOf("Pod", "debug", "tool:1"), image("tool:1", v1alpha1.AdmittedExempt, now)),
		rootOf("Job", "old", "old:1"),
	))
	if diff := cmp.Diff([]string{"backup:1 Fresh", "old:1 EnteredUngoverned", "tool:1 Exempt"}, reasons(t, observation.Records, "run-once")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if root := find(t, observation.Records, "run-once").Spec.Root; root != nil {
		t.Errorf("run-once belongs to %v", root)
	}
	set := ledger.NewSet(nil, []string{v1alpha1.RunOnceRecordName}, observation.Records)
	for reference, want := range map[string]bool{"backup:1": true, "old:1": false, "tool:1": false} {
		if _, admitted := set.Admitted(reference); admitted != want {
			t.Errorf("%s is admitted for the next Job: %t, want %t", reference, admitted, want)
		}
	}
	// Jobs come and go; the record stays as long as somebody works here.
	observation.Roots, observation.Now = nil, now.Add(100*24*time.Hour)
	observation = next(observation)
	if unused := find(t, observation.Records, "run-once").Spec.UnusedSince; unused != nil {
		t.Errorf("unused since %s in an inhabited namespace", unused)
	}
}

func TestAPodThatTheGateHasSeenDoesNotEnterUngoverned(t *testing.T) {
	pod := annotated(rootOf("Pod", "debug", "evil:1"), image("tool:1", v1alpha1.AdmittedFresh, now))
	observation := next(seen(pod))
	if diff := cmp.Diff([]string{"tool:1 Fresh"}, reasons(t, observation.Records, "run-once")); diff != "" {
		t.Errorf("an image that came in past the gate is taken into the books (-want +got):\n%s", diff)
	}
}

func TestRecordsSurviveDeleteAndApply(t *testing.T) {
	observation := next(seen(annotated(root("lis", "lis:1"), image("lis:1", v1alpha1.AdmittedFresh, now))))
	roots := observation.Roots
	observation.Roots = nil
	observation = next(observation)
	unused := find(t, observation.Records, "deployment-lis").Spec.UnusedSince
	if unused == nil || !unused.Time.Equal(now) {
		t.Fatalf("unused since %v, want %s", unused, now)
	}
	observation.Now = now.Add(29 * 24 * time.Hour)
	plan := ledger.PlanRecords(observation)
	if len(plan.Write)+len(plan.Delete) > 0 || !plan.NextChange.Equal(now.Add(ledger.Retention)) {
		t.Errorf("after 29 days: %s", encoded(plan))
	}
	observation.Roots = roots
	back := next(observation)
	if again := find(t, back.Records, "deployment-lis").Spec; again.UnusedSince != nil || len(again.Admitted) != 1 {
		t.Errorf("applied again: %s", encoded(again))
	}
	if next := ledger.PlanRecords(back).NextChange; !next.IsZero() {
		t.Errorf("used, and looked at again %s", next)
	}
	observation.Roots, observation.Now = nil, now.Add(ledger.Retention)
	if plan := ledger.PlanRecords(observation); !slices.Equal(plan.Delete, []string{"deployment-lis"}) || len(plan.Write) > 0 {
		t.Errorf("after 30 days: %s", encoded(plan))
	}
}

func TestTheEpochIsKeptForThirtyDaysAfterTheLastLabWorkload(t *testing.T) {
	observation := next(seen(root("lis", "lis:1")))
	observation.Inhabited = false
	observation.Roots = []ledger.ObservedRoot{governed(root("lis", "lis:1"), ledger.Ungoverned)}
	observation = next(observation)
	if unused := find(t, observation.Records, "epoch").Spec.UnusedSince; unused == nil {
		t.Fatal("the epoch is in use without a LabWorkload")
	}
	back := observation
	back.Inhabited, back.Now = true, now.Add(29*24*time.Hour)
	back.Roots = []ledger.ObservedRoot{root("lis", "lis:2")}
	back = next(back)
	if got := find(t, back.Records, "epoch").Spec; got.UnusedSince != nil || !ledger.Begun(got.Epoch) {
		t.Errorf("the LabWorkload is back: %s", encoded(got))
	}
	if diff := cmp.Diff([]string{"lis:1 EnteredUngoverned", "lis:2 EnteredUngoverned"}, reasons(t, back.Records, "deployment-lis")); diff != "" {
		t.Errorf("deleting the LabWorkload and applying it again gives no PreExisting (-want +got):\n%s", diff)
	}
	observation.Now = now.Add(ledger.Retention)
	if plan := ledger.PlanRecords(observation); !slices.Equal(plan.Delete, []string{"epoch"}) {
		t.Errorf("after 30 days: %s", encoded(plan))
	}
}

func TestTheNextEpochMakesPreExistingOfWhatEnteredUngoverned(t *testing.T) {
	observation := beginning(root("lis", "lis:1"))
	observation.Records = []v1alpha1.RolloutRecord{record("deployment-lis",
		image("lis:1", v1alpha1.AdmittedEnteredUngoverned, now.Add(-time.Hour)), image("lis:0", v1alpha1.AdmittedEnteredUngoverned, now.Add(-time.Hour)))}
	if diff := cmp.Diff([]string{"lis:0 EnteredUngoverned", "lis:1 PreExisting"}, reasons(t, next(observation).Records, "deployment-lis")); diff != "" {
		t.Errorf("only what is in use (-want +got):\n%s", diff)
	}
}

func TestRestoredRecordsWaitForTheEpoch(t *testing.T) {
	observation := beginning(root("lis", "lis:1"))
	observation.Proof = nil
	observation.Records = []v1alpha1.RolloutRecord{record("deployment-lis", image("lis:1", v1alpha1.AdmittedFresh, now)), record("deployment-gone")}
	records := next(observation).Records
	if unused := find(t, records, "deployment-lis").Spec.UnusedSince; unused != nil {
		t.Errorf("the root is there, and its record is unused since %s", unused)
	}
	if unused := find(t, records, "deployment-gone").Spec.UnusedSince; unused == nil {
		t.Error("the record of a root that is gone is used")
	}
}

func TestAProofIsWrittenDownAndWithdrawn(t *testing.T) {
	observation := seen()
	observation.Proof = &v1alpha1.Epoch{Proof: v1alpha1.ReasonCanaryBlocked, Detail: "quota"}
	got := find(t, next(observation).Records, "epoch").Spec.Epoch
	want := proven(now.Add(-time.Hour))
	want.Proof, want.Detail = v1alpha1.ReasonCanaryBlocked, "quota"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	observation = next(observation)
	observation.Proof = proven(now)
	if got := find(t, next(observation).Records, "epoch").Spec.Epoch; got.Detail != "" || !got.EnforcedSince.Time.Equal(now.Add(-time.Hour)) {
		t.Errorf("proven again: %+v", got)
	}
}

func TestARecordThatWouldBeEmptyIsNotWritten(t *testing.T) {
	observation := seen(governed(rootOf("Pod", "bad", "no image at all"), ledger.Audited))
	if plan := ledger.PlanRecords(observation); len(plan.Write) > 0 {
		t.Errorf("the API server refuses %s", encoded(plan.Write))
	}
}

func TestAnUnreadableReferenceIsNeverRecorded(t *testing.T) {
	for _, kind := range []string{"Deployment", "Pod"} {
		for _, observation := range []ledger.Observation{beginning(rootOf(kind, "lis", "lis:1 evil:1")), seen(rootOf(kind, "lis", "lis:1 evil:1"))} {
			for _, written := range ledger.PlanRecords(observation).Write {
				if len(written.Spec.Admitted) > 0 {
					t.Errorf("%s has %v", written.Name, written.Spec.Admitted)
				}
			}
		}
	}
}

func TestAHundredAdmissionsAreKeptAndThoseInUseBeyond(t *testing.T) {
	var images []v1alpha1.AdmittedImage
	for i := range 150 {
		images = append(images, image(fmt.Sprintf("lis:%03d", i), v1alpha1.AdmittedFresh, now.Add(time.Duration(i)*time.Minute)))
	}
	for name, governance := range map[string]ledger.Governance{"enforced": ledger.Enforced, "audited": ledger.Audited, "for now ungoverned": ledger.Ungoverned} {
		t.Run(name, func(t *testing.T) {
			observation := seen(using(governed(root("lis", "lis:149"), governance), "lis:003", "lis:007"))
			observation.Records = append(observation.Records, record("deployment-lis", slices.Clone(images)...))
			observation = next(observation)
			admitted := reasons(t, observation.Records, "deployment-lis")
			if len(admitted) != 102 || admitted[0] != "lis:003 Fresh" || admitted[1] != "lis:007 Fresh" || admitted[2] != "lis:050 Fresh" {
				t.Errorf("%d admissions: %v", len(admitted), admitted[:min(4, len(admitted))])
			}
			if plan := ledger.PlanRecords(observation); len(plan.Write) > 0 {
				t.Error("planning again writes")
			}
		})
	}
}

// A namespace in which every Job has an image of its own.
func TestMoreImagesInUseThanARecordTakesDoNotMakeItFlap(t *testing.T) {
	observation := seen(annotated(rootOf("Job", "gated", "fresh:1"), image("fresh:1", v1alpha1.AdmittedFresh, now.Add(-time.Hour))))
	for i := range 700 {
		observation.Roots = append(observation.Roots, rootOf("Job", fmt.Sprintf("build-%d", i), fmt.Sprintf("build:%d", i)))
	}
	observation = next(observation)
	shared := find(t, observation.Records, "run-once")
	if err := writable(shared); err != nil || len(shared.Spec.Admitted) != 500 {
		t.Fatalf("%d admissions, %v", len(shared.Spec.Admitted), err)
	}
	if !slices.Contains(reasons(t, observation.Records, "run-once"), "fresh:1 Fresh") {
		t.Error("what was inferred pushes out what was admitted")
	}
	for hour := range 3 {
		observation.Now = now.Add(time.Duration(hour) * time.Hour)
		if plan := ledger.PlanRecords(observation); len(plan.Write) > 0 {
			t.Fatalf("planning again after %d h writes", hour)
		}
	}
}

func TestAnEmptyNamespaceNeedsNoRecords(t *testing.T) {
	if diff := cmp.Diff(ledger.Plan{}, ledger.PlanRecords(ledger.Observation{Namespace: namespace, Now: now})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
