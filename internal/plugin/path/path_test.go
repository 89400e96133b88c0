// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package path_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/path"
	"github.com/labguard/labguard/internal/plugin/tree"
	"github.com/labguard/labguard/internal/testutil/golden"
)

var noon = time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)

func in(days int) *metav1.Time { return &metav1.Time{Time: noon.AddDate(0, 0, days)} }

func end(name string, transit *v1alpha1.InTransitSpec) *v1alpha1.LabWorkload {
	transit.Provider = v1alpha1.TransitProviderSidecar
	return &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name},
		Spec: v1alpha1.LabWorkloadSpec{
			Enforcement: v1alpha1.EnforcementEnforce, Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
			Encryption: &v1alpha1.EncryptionSpec{InTransit: transit},
		},
		Status: v1alpha1.LabWorkloadStatus{
			Certificate: &v1alpha1.CertificateStatus{SecretName: "labguard-" + name + "-identity", Serial: "1f", NotAfter: in(60)},
			Transit:     &v1alpha1.TransitStatus{Stage: v1alpha1.TransitStageStrict, Pods: new(int32(2)), Injected: new(int32(2)), ProbedAt: in(0), Vantage: "labguard on node n1"},
		},
	}
}

func condition(name string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: name, Status: status, Reason: reason, Message: message}
}

// whole is a way on which nothing is missing.
func whole() path.Facts {
	server := end("lis", &v1alpha1.InTransitSpec{Ports: []v1alpha1.TransitPort{{
		Name: "mllp", Port: 2575, AllowFrom: []v1alpha1.IngressPeer{{LabWorkload: &v1alpha1.LabWorkloadReference{Name: "interface-engine"}}},
	}}})
	server.Status.Transit.Ports = []v1alpha1.TransitPortStatus{{Name: "mllp", SidecarPort: 15100, Services: []string{"lis-mtls"}}}
	server.Status.Conditions = []metav1.Condition{
		condition(v1alpha1.ConditionTransitEncrypted, metav1.ConditionTrue, v1alpha1.ReasonMutualTLS, "mutual TLS was shown"),
		condition(v1alpha1.ConditionNetworkIsolated, metav1.ConditionTrue, v1alpha1.ReasonIsolated, "the network obeys the policy"),
	}
	client := end("interface-engine", &v1alpha1.InTransitSpec{})
	client.Status.Transit.Upstreams = []v1alpha1.TransitUpstreamStatus{
		{Name: "pathology/lis:2575", LastHandshake: in(-1)}, {Name: "pathology/lis:2576", LastHandshake: in(-2)}, {Name: "pathology/pacs:104", LastHandshake: in(0)},
	}
	return path.Facts{
		Client: client, Server: server, Now: noon,
		Profile: &v1alpha1.AirlockProfile{Spec: v1alpha1.AirlockProfileSpec{
			Upstreams: []v1alpha1.AllocatedAddress{{Name: "pathology/lis", IP: "127.0.64.1", LabWorkload: "lis"}, {Name: "pathology/pacs", IP: "127.0.64.2", LabWorkload: "pacs"}},
			Current:   v1alpha1.AirlockRevision{HostAliases: []v1alpha1.AirlockHostAlias{{IP: "127.0.64.1", Hostnames: []string{"lis", "lis.pathology", "lis.pathology.svc"}}}},
		}},
		Companions: []corev1.Service{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis-mtls"},
			Spec:       corev1.ServiceSpec{ClusterIP: "10.96.0.12", Ports: []corev1.ServicePort{{Port: 2575, TargetPort: intstr.FromInt32(15100)}}},
		}},
	}
}

func TestAWholeWayIsMutualTLS(t *testing.T) {
	t.Parallel()
	way := path.Of(whole())
	if way.Verdict != path.MutualTLS || way.Reason != "" {
		t.Errorf("%+v", way)
	}
	golden.Text(t, "whole", tree.Paper{}.Draw(way.Draw(noon)))
	golden.Text(t, "whole-terminal", tree.Paper{Colour: true, Lines: true, Unicode: true, Width: 90}.Draw(way.Draw(noon)))
	golden.YAML(t, "whole", way)
}

func TestAHandshakeIsThatOfTheseTwo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*path.Facts)
		want   string
	}{
		"none reported":        {func(f *path.Facts) { f.Client.Status.Transit.Upstreams = nil }, "no airlock of pathology/interface-engine has reported one that pathology/lis let in"},
		"one of another alone": {func(f *path.Facts) { f.Client.Status.Transit.Upstreams = f.Client.Status.Transit.Upstreams[2:] }, "no airlock of"},
		"of the same name elsewhere": {func(f *path.Facts) {
			f.Profile.Spec.Upstreams[0].Name = "chemistry/lis"
			f.Client.Status.Transit.Upstreams[0].Name = "chemistry/lis:2575"
		}, "no airlock of"},
		"nothing is known": {func(f *path.Facts) { f.Client.Status.Transit = nil }, "not known"},
		"the latest":       {func(*path.Facts) {}, "2026-11-25T12:00:00Z with Service pathology/lis:2575"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts := whole()
			c.change(&facts)
			links := path.Of(facts).Links
			if last := links[len(links)-1]; last.Name != "last handshake" || !strings.HasPrefix(last.Text, c.want) {
				t.Errorf("%+v", last)
			}
		})
	}
}

func TestTheFirstLinkThatIsMissingIsTheReason(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change          func(*path.Facts)
		verdict         path.Verdict
		reason, traffic string
	}{
		"nobody named the other": {func(f *path.Facts) { f.Server.Spec.Encryption.InTransit.Ports[0].AllowFrom = nil }, path.NotMutualTLS,
			"declared: nothing is agreed: name pathology/interface-engine in allowFrom of a port of pathology/lis", "is cut off by the network policy"},
		"the other namespace has not answered": {func(f *path.Facts) {
			f.Server.Namespace = "chemistry"
			f.Server.Spec.Encryption.InTransit.Ports[0].AllowFrom[0].LabWorkload.Namespace = "pathology"
		}, path.NotMutualTLS, "declared: nothing is agreed: LabWorkload pathology/interface-engine has to name chemistry/lis under network.egress", "is cut off by the network policy"},
		"nothing is agreed and nothing enforced": {func(f *path.Facts) {
			f.Server.Spec.Encryption.InTransit.Ports[0].AllowFrom, f.Server.Spec.Enforcement = nil, v1alpha1.EnforcementAudit
		}, path.NotMutualTLS, "declared:", "goes through as it is"},
		"the client has no sidecar": {func(f *path.Facts) { f.Client.Spec.Encryption = nil }, path.NotMutualTLS,
			"client airlock: pathology/interface-engine asks for no encryption in transit", "is cut off: at Strict"},
		"the server speaks TLS itself": {func(f *path.Facts) { f.Server.Spec.Encryption.InTransit.Provider = v1alpha1.TransitProviderApplication }, path.NotMutualTLS,
			"server airlock: the application of pathology/lis speaks TLS itself", ""},
		"a pod has no airlock": {func(f *path.Facts) { f.Client.Status.Transit.Injected = new(int32(1)) }, path.NotMutualTLS,
			"client airlock: in 1 of 2 pods of pathology/interface-engine; the others get it when they are replaced", ""},
		"no pod runs":        {func(f *path.Facts) { f.Client.Status.Transit.Pods = new(int32(0)) }, path.Unproven, "client airlock: no pod of", "is to go over mutual TLS"},
		"nothing is known":   {func(f *path.Facts) { f.Client.Status.Transit = nil }, path.Unproven, "client airlock: labguard has not said yet", ""},
		"stage Observe":      {func(f *path.Facts) { f.Server.Status.Transit.Stage = v1alpha1.TransitStageObserve }, path.NotMutualTLS, "stage: Observe", "goes through in plaintext"},
		"stage Permissive":   {func(f *path.Facts) { f.Server.Status.Transit.Stage = v1alpha1.TransitStagePermissive }, path.Unproven, "stage: Permissive", ""},
		"no companion":       {func(f *path.Facts) { f.Companions = nil }, path.NotMutualTLS, "companion: no Service leads to the airlocks of pathology/lis", ""},
		"Services unread":    {func(f *path.Facts) { f.Companions, f.ServicesUnread = nil, "forbidden" }, path.Unproven, "companion: Service lis-mtls by the status of pathology/lis", ""},
		"no profile":         {func(f *path.Facts) { f.Profile = nil }, path.NotMutualTLS, "alias: pathology/interface-engine has no AirlockProfile", ""},
		"the profile unread": {func(f *path.Facts) { f.Profile, f.ProfileUnread = nil, "forbidden" }, path.Unproven, "alias: the AirlockProfile of", ""},
		"no alias":           {func(f *path.Facts) { f.Profile.Spec.Upstreams = nil }, path.NotMutualTLS, "alias: pods of pathology/interface-engine have no name", ""},
		"a conflict": {func(f *path.Facts) {
			f.Client.Status.Conditions = []metav1.Condition{condition(v1alpha1.ConditionTransitEncrypted, metav1.ConditionFalse, v1alpha1.ReasonRestartNeeded, "replace them")}
		}, path.Unproven, "alias: lis, lis.pathology, lis.pathology.svc -> 127.0.64.1; RestartNeeded of pathology/interface-engine: replace them", ""},
		"redirected": {func(f *path.Facts) {
			f.Profile.Spec.Current.HostAliases, f.Profile.Spec.Current.Redirect = nil, []string{"10.96.0.10:2575"}
		}, path.MutualTLS, "", ""},
		"no certificate":         {func(f *path.Facts) { f.Client.Status.Certificate = nil }, path.NotMutualTLS, "client certificate: pathology/interface-engine has none yet", ""},
		"an expired certificate": {func(f *path.Facts) { f.Server.Status.Certificate.NotAfter = in(0) }, path.NotMutualTLS, "server certificate: labguard-lis-identity, serial 1f, has expired", ""},
		"no proof":               {func(f *path.Facts) { f.Server.Status.Conditions[0].Status = metav1.ConditionUnknown }, path.Unproven, "proof: TransitEncrypted of pathology/lis is Unknown", ""},
		"the server's status is overtaken by time": {func(f *path.Facts) { f.Server.Status.NextChangeAt = in(-6) }, path.Unproven,
			"server status: an answer about pathology/lis was to change 2026-11-20T12:00:00Z, 6 days ago, and labguard has not looked since", "is to go over mutual TLS; that it does is not shown"},
		"the client's status is overtaken by time": {func(f *path.Facts) { f.Client.Status.NextChangeAt = in(-1) }, path.Unproven, "client status: an answer about pathology/interface-engine", ""},
		"a change that is due now":                 {func(f *path.Facts) { f.Server.Status.NextChangeAt = in(0) }, path.MutualTLS, "", ""},
		"the latest spec is not looked at": {func(f *path.Facts) { f.Server.Generation = 1 }, path.Unproven,
			"server status: labguard has not looked at the latest spec of pathology/lis yet", ""},
		"labguard has not started": {func(f *path.Facts) { f.Server.Status.Conditions = nil }, path.Unproven, "proof: labguard has not answered", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts := whole()
			c.change(&facts)
			way := path.Of(facts)
			if way.Verdict != c.verdict || !strings.HasPrefix(way.Reason, c.reason) || !strings.HasPrefix(way.Traffic, c.traffic) || (way.Reason == "") != (c.reason == "") {
				t.Errorf("%s\n%s\n%s", way.Verdict, way.Reason, way.Traffic)
			}
		})
	}
}
