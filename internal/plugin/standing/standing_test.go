// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package standing_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/standing"
	"github.com/labguard/labguard/internal/plugin/tree"
	"github.com/labguard/labguard/internal/testutil/golden"
)

var noon = time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)

// identity is the name of an object.
const identity = "labguard-lis-identity-x7k2m"

func in(days int) *metav1.Time { return &metav1.Time{Time: noon.AddDate(0, 0, days)} }

func condition(name string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: name, Status: status, Reason: reason, Message: message, LastTransitionTime: *in(-6)}
}

// lis makes all requirements, and its status says something of each.
func lis() *v1alpha1.LabWorkload {
	return &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis", Generation: 3},
		Spec: v1alpha1.LabWorkloadSpec{
			MFA: &v1alpha1.MFASpec{}, Training: &v1alpha1.TrainingSpec{Courses: []v1alpha1.Course{"phishing-basics"}},
			Images: &v1alpha1.ImagesSpec{MaxAge: "2160h", Exempt: []v1alpha1.ImageExemption{{Pattern: "registry.example/vendor/*", Reason: "vendor builds twice a year", Expires: *in(40)}}},
			Encryption: &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{Provider: v1alpha1.TransitProviderSidecar, Ports: []v1alpha1.TransitPort{{
				Name: "mllp", Port: 2575, AllowFrom: []v1alpha1.IngressPeer{{Plaintext: &v1alpha1.PlaintextException{Reason: "analyser without TLS", Expires: *in(3)}}},
			}}}},
		},
		Status: v1alpha1.LabWorkloadStatus{
			ObservedGeneration: 3, Enforcement: "Enforce", EnforcedSince: in(-30), NextChangeAt: in(5), ImageCount: 53, HeldCount: 1,
			Conditions: []metav1.Condition{
				condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReconciled, "everything that labguard has to write is written"),
				condition(v1alpha1.ConditionCompliant, metav1.ConditionFalse, v1alpha1.ReasonRequirementFailed, "does not hold: TransitEncrypted"),
				condition(v1alpha1.ConditionNetworkIsolated, metav1.ConditionUnknown, v1alpha1.ReasonNotProven, "the policy is written, and nothing has shown yet that the network obeys it"),
				condition(v1alpha1.ConditionTransitEncrypted, metav1.ConditionFalse, v1alpha1.ReasonPlaintextException, "plaintext is open by exception on mllp"),
				condition(v1alpha1.ConditionMFAEnforced, metav1.ConditionTrue, v1alpha1.ReasonEnforced, "recent multi-factor logins are asked for"),
				condition(v1alpha1.ConditionImagesFresh, metav1.ConditionTrue, v1alpha1.ReasonImageFresh, "no image is stale"),
				condition(v1alpha1.ConditionBreakGlassUsed, metav1.ConditionTrue, v1alpha1.ReasonBreakGlassOpen, "1 use is not acknowledged"),
			},
			Certificate: &v1alpha1.CertificateStatus{SecretName: identity, Serial: "1f0a", NotAfter: in(60), RenewalTime: in(30)},
			Transit: &v1alpha1.TransitStatus{
				Stage: v1alpha1.TransitStagePermissive, Pods: new(int32(3)), Injected: new(int32(2)), Blockers: []string{"pod lis-2 has no airlock: replace it"},
				ObservedSince: in(-2), ProbedAt: &metav1.Time{Time: noon.Add(-20 * time.Minute)}, Vantage: "labguard on node n1",
				Ports: []v1alpha1.TransitPortStatus{{Name: "mllp", SidecarPort: 15100, Services: []string{"lis-mtls"}, Listening: "LoopbackOnly"}},
			},
			Images: []v1alpha1.ImageStatus{
				{Reference: "registry.example/lab/lis:1.9", Answer: "Stale", Reason: v1alpha1.ReasonImageStale, Created: in(-120), Evidence: "Config", StaleAt: in(-30), Fresher: "None", Admission: "Fresh", Pods: 1},
				{Reference: "registry.example/lab/lis:2.4", Answer: "Fresh", Reason: v1alpha1.ReasonImageFresh, Created: in(-80), Evidence: "History", StaleAt: in(10), Fresher: "sha256:ab", Admission: "Fresh", Pods: 2, Declared: true},
				{Reference: "registry.example/vendor/dicom:5", Answer: "Exempt", Reason: "Exempt", Declared: true},
				{Reference: "registry.example/lab/shim@sha256:00", Answer: "Unknown", Reason: v1alpha1.ReasonCredentialsNotReadable},
			},
		},
	}
}

func drawn(paper tree.Paper, most int, workloads ...*v1alpha1.LabWorkload) string {
	var nodes []tree.Node
	for _, lw := range workloads {
		found := standing.Of(lw, noon)
		nodes = append(nodes, found.Draw(most, noon))
	}
	return paper.Draw(nodes...)
}

func TestAStatusIsDrawn(t *testing.T) {
	t.Parallel()
	golden.Text(t, "terminal", drawn(tree.Paper{Colour: true, Lines: true, Unicode: true, Width: 100}, 0, lis()))
	golden.Text(t, "piped", drawn(tree.Paper{}, 0, lis()))
	golden.Text(t, "few", drawn(tree.Paper{Lines: true, Unicode: true, Width: 100}, 3, lis()))
	golden.YAML(t, "programs", standing.Of(lis(), noon))
}

func TestWhatLabguardHasNotLookedAtIsUnknown(t *testing.T) {
	t.Parallel()
	fresh := lis()
	fresh.Status = v1alpha1.LabWorkloadStatus{ObservedGeneration: -1}
	behind := lis()
	behind.Generation, behind.Status.Conditions[0] = 4, condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNameTaken, "NetworkPolicy pathology/labguard-lis is somebody else's")
	behind.Spec.Encryption, behind.Spec.Images, behind.Spec.MFA = nil, nil, nil
	audit := lis()
	audit.Spec.MFA, audit.Spec.Training, audit.Status.HeldCount, audit.Status.Conditions = nil, nil, 0, audit.Status.Conditions[:3]
	audit.Status.Enforcement, audit.Status.Certificate, audit.Status.Transit, audit.Status.Images, audit.Status.ImageCount = "Audit", nil, nil, nil, 0
	audit.Status.Preview = &v1alpha1.EnforcementPreview{LosesPath: []string{"Pod billing/export-0 to port 2575"}, RefusedImages: []string{"registry.example/lab/lis:1.9: ImageStale"}}
	golden.Text(t, "unknown", drawn(tree.Paper{}, 0, fresh, behind, audit))
	for name, lw := range map[string]*v1alpha1.LabWorkload{"fresh": fresh, "behind": behind} {
		if found := standing.Of(lw, noon); found.Complies() {
			t.Errorf("%s complies", name)
		}
	}
}

func TestATrueThatTimeHasOvertakenIsNotKnown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		past     time.Duration
		status   metav1.ConditionStatus
		complies bool
		head     string
	}{
		{-time.Hour, metav1.ConditionTrue, true, "pathology/lis complies"},
		{5 * time.Minute, metav1.ConditionTrue, true, "pathology/lis complies"},
		{5*time.Minute + time.Second, metav1.ConditionTrue, false, "pathology/lis nobody knows whether it complies"},
		{6 * 24 * time.Hour, metav1.ConditionFalse, false, "pathology/lis does not comply"},
	} {
		lw := lis()
		lw.Status.Conditions[1] = condition(v1alpha1.ConditionCompliant, c.status, v1alpha1.ReasonAllTrue, "")
		lw.Status.NextChangeAt = &metav1.Time{Time: noon.Add(-c.past)}
		late := c.past > 5*time.Minute
		found, text := standing.Of(lw, noon), drawn(tree.Paper{}, 0, lw)
		if found.Complies() != c.complies || found.Overdue != late || !strings.HasPrefix(text, c.head) || strings.Contains(text, "labguard has not looked since: is it running?") != late {
			t.Errorf("%s past, %s: %+v\n%s", c.past, c.status, found, text)
		}
	}
	lw := lis()
	lw.Status.Conditions[1].Status, lw.Status.NextChangeAt = metav1.ConditionTrue, in(-6)
	late := []standing.Workload{{Namespace: "a", Name: "a", Compliant: standing.Answer{Status: metav1.ConditionTrue}}, standing.Of(lw, noon)}
	standing.Sort(late)
	if late[0].Name != "lis" {
		t.Errorf("what is not known to comply does not come first: %+v", late)
	}
}

func TestACertificateIsTold(t *testing.T) {
	t.Parallel()
	for want, found := range map[string]v1alpha1.CertificateStatus{
		"Unsure certificate in Secret s, not issued yet":                           {SecretName: "s"},
		"Bad certificate in Secret s, has expired":                                 {SecretName: "s", NotAfter: in(0)},
		"Unsure certificate in Secret s, to be renewed since 2026-11-25T12:00:00Z": {SecretName: "s", NotAfter: in(1), RenewalTime: in(-1)},
		"Good certificate in Secret s":                                             {SecretName: "s", NotAfter: in(1)},
	} {
		lw := lis()
		lw.Status.Certificate = &found
		for _, requirement := range standing.Of(lw, noon).Requirements {
			if requirement.Type != v1alpha1.ConditionTransitEncrypted {
				continue
			}
			if got := string(requirement.Evidence[0].Weight) + " " + requirement.Evidence[0].Text; got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
}

func TestWhatDoesNotComplyComesFirst(t *testing.T) {
	t.Parallel()
	one := func(name string, status metav1.ConditionStatus) standing.Workload {
		return standing.Workload{Namespace: "a", Name: name, Compliant: standing.Answer{Status: status}}
	}
	workloads := []standing.Workload{one("d", metav1.ConditionTrue), one("c", metav1.ConditionUnknown), one("b", metav1.ConditionFalse), one("a", metav1.ConditionTrue), one("a", metav1.ConditionFalse)}
	standing.Sort(workloads)
	order := ""
	for _, w := range workloads {
		order += w.Name
	}
	if order != "abcad" {
		t.Error(order)
	}
}
