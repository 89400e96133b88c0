// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/plugin/plan"
	"github.com/labguard/labguard/internal/plugin/tree"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/posture/template"
	"github.com/labguard/labguard/internal/testutil/golden"
)

var noon = time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)

const secret = "correct-horse"

// root is an object that makes pods, as the shell reads it.
func root(t *testing.T, kind, name string, object any, pods corev1.PodTemplateSpec, selector *metav1.LabelSelector) plan.Root {
	t.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := template.Decode(kind, raw)
	if err != nil {
		t.Fatal(err)
	}
	fields, err := hold.Read(kind, raw)
	if err != nil {
		t.Fatal(err)
	}
	return plan.Root{Kind: kind, Name: name, Selector: selector, Template: pods, Gate: gate.Object{Root: decoded, Fields: fields}}
}

func deployment(t *testing.T, name string, container corev1.Container) plan.Root {
	t.Helper()
	container.Name = name
	if container.Image == "" {
		container.Image = "registry.example/lab/" + name + ":1"
	}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
	pods := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name, "pod-template-hash": "x"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{container}}}
	object := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name}, Spec: appsv1.DeploymentSpec{Selector: selector, Template: pods}}
	return root(t, "Deployment", name, object, pods, selector)
}

func cronJob(t *testing.T, name string, of map[string]string, args ...string) plan.Root {
	t.Helper()
	pods := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: of}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: "registry.example/lab/" + name + ":1", Args: args}}}}
	object := batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name}}
	object.Spec.JobTemplate.Spec.Template = pods
	return root(t, "CronJob", name, object, pods, nil)
}

// running is a pod of a root.
func running(of plan.Root, name, ip string) corev1.Pod {
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name, Labels: of.Template.Labels}, Spec: of.Template.Spec}
	pod.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: of.Name + "-x", Controller: new(true)}}
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: ip}}}
	return pod
}

func service(name string, ports ...corev1.ServicePort) corev1.Service {
	return corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeClusterIP, Selector: map[string]string{"app": name}, Ports: ports,
	}}
}

func policy(name, app string, rule networkingv1.NetworkPolicyIngressRule) networkingv1.NetworkPolicy {
	return networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name}, Spec: networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}, Ingress: []networkingv1.NetworkPolicyIngressRule{rule},
	}}
}

// pathology is a namespace that nobody has written a LabWorkload for.
func pathology(t *testing.T) plan.Facts {
	t.Helper()
	lis := deployment(t, "lis", corev1.Container{Image: "registry.example/lab/lis@sha256:" + strings.Repeat("a", 64), Ports: []corev1.ContainerPort{
		{Name: "mllp", ContainerPort: 2575}, {Name: "syslog", ContainerPort: 514, Protocol: corev1.ProtocolUDP}, {ContainerPort: 9090},
	}})
	engine := deployment(t, "engine", corev1.Container{Env: []corev1.EnvVar{
		{Name: "LIS_URL", Value: "mllp://lis:2575"}, {Name: "DB", Value: "postgres://engine:" + secret + "@db.pathology.svc.cluster.local:5432/lab"}, {Name: "APP", Value: "lis"},
	}})
	db := deployment(t, "db", corev1.Container{Ports: []corev1.ContainerPort{{Name: "PG_SQL", ContainerPort: 5432}}})
	portal := deployment(t, "portal", corev1.Container{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}})
	export := cronJob(t, "export", map[string]string{"app": "export"}, "--lis=lis.pathology", "--user="+secret)
	facts := plan.Facts{Namespace: "pathology", Now: noon, Roots: []plan.Root{lis, engine, db, portal, export, cronJob(t, "tidy", nil)}}
	facts.Pods = []corev1.Pod{running(lis, "lis-0", "10.1.0.1"), running(engine, "engine-0", "10.1.0.2"), running(db, "db-0", "10.1.0.3"), running(portal, "portal-0", "10.1.0.4")}
	facts.Pods[0].Annotations = map[string]string{"prometheus.io/scrape": "true"}
	by := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "by-hand"}}
	billing := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "billing", Name: "billing-0", Labels: map[string]string{"app": "billing", "controller-revision-hash": "1"}}}
	billing.Spec.Containers = []corev1.Container{{Name: "billing", Env: []corev1.EnvVar{{Name: "LIS_HOST", Value: "lis.pathology.svc"}, {Name: "DB_HOST", Value: "db"}}}}
	gone := running(lis, "lis-gone", "10.1.0.9")
	gone.Status.Phase = corev1.PodSucceeded
	facts.Pods = append(facts.Pods, by, billing, gone)
	facts.Services = []corev1.Service{
		service("lis", corev1.ServicePort{Name: "mllp", Port: 2575}), service("db", corev1.ServicePort{Port: 5432, TargetPort: intstr.FromString("PG_SQL")}),
		service("portal", corev1.ServicePort{Port: 443, TargetPort: intstr.FromString("http")}),
	}
	facts.Services[2].Spec.Type, facts.Services[2].Spec.LoadBalancerSourceRanges = corev1.ServiceTypeLoadBalancer, []string{"192.0.2.7/24", "0.0.0.0/0", "no block"}
	facts.Services = append(facts.Services, service("lis-outside", corev1.ServicePort{Port: 2575}))
	facts.Services[3].Spec.Type, facts.Services[3].Spec.Selector = corev1.ServiceTypeNodePort, map[string]string{"app": "lis"}
	tcp, number := corev1.ProtocolTCP, intstr.FromInt32(5432)
	facts.Policies = []networkingv1.NetworkPolicy{
		policy("db", "db", networkingv1.NetworkPolicyIngressRule{Ports: []networkingv1.NetworkPolicyPort{{Protocol: &tcp, Port: &number}}, From: []networkingv1.NetworkPolicyPeer{
			{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}}},
			{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "backup"}}},
			{IPBlock: &networkingv1.IPBlock{CIDR: "10.20.0.0/16"}}, {IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8", Except: []string{"10.1.0.0/16"}}},
		}}),
		policy("portal", "portal", networkingv1.NetworkPolicyIngressRule{}),
	}
	facts.Ingresses = []networkingv1.Ingress{{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "results"}, Spec: networkingv1.IngressSpec{
		DefaultBackend: &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "portal", Port: networkingv1.ServiceBackendPort{Number: 443}}},
	}}}
	gw := v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "chemistry", Name: "gw"}, Spec: v1alpha1.LabWorkloadSpec{
		Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "gw"}}, Network: &v1alpha1.NetworkSpec{Egress: []v1alpha1.EgressPeer{{
			LabWorkload: &v1alpha1.LabWorkloadReference{Name: "lis", Namespace: "pathology"}, Ports: []v1alpha1.PeerPort{{Port: 2575, Protocol: "TCP"}},
		}}},
		Encryption: &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{Provider: v1alpha1.TransitProviderSidecar, IssuerRef: v1alpha1.IssuerReference{Kind: v1alpha1.IssuerKindClusterIssuer, Name: "hospital-ca"}}},
	}}
	facts.Workloads = []v1alpha1.LabWorkload{gw}
	facts.Gate = gate.Seen{Namespace: "pathology", Now: noon, Content: func(digest string) (posture.Content, bool) {
		record := v1alpha1.ImageRecord{Spec: v1alpha1.ImageRecordSpec{Digest: digest, Image: &v1alpha1.ImageContent{Platform: "linux/amd64", Created: &metav1.Time{Time: noon.AddDate(0, 0, -120)}}}}
		return posture.ContentOf(&record), true
	}}
	return facts
}

func told(t *testing.T, planned plan.Plan) string {
	t.Helper()
	text, err := planned.YAML()
	if err != nil {
		t.Fatal(err)
	}
	return tree.Paper{}.Draw(planned.Draw()...) + "\n" + text
}

func TestANamespaceWithoutLabWorkloadsGetsThemFromWhatIsKnown(t *testing.T) {
	t.Parallel()
	text := told(t, plan.Of(pathology(t)))
	golden.Text(t, "new", text)
	if strings.Contains(text, secret) {
		t.Error("the plan tells what stands in an environment")
	}
}

// observed are LabWorkloads that labguard has looked at.
func observed(t *testing.T) plan.Facts {
	t.Helper()
	facts := pathology(t)
	lis := v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis", Generation: 2, UID: "u", ResourceVersion: "7", Annotations: map[string]string{
		corev1.LastAppliedConfigAnnotation: "{}", "owner": "ann # not a comment",
	}}}
	lis.Spec = v1alpha1.LabWorkloadSpec{
		Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}}, Enforcement: v1alpha1.EnforcementAudit,
		Encryption: &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{
			Provider: v1alpha1.TransitProviderSidecar, Enforcement: v1alpha1.EnforcementEnforce, IssuerRef: v1alpha1.IssuerReference{Kind: v1alpha1.IssuerKindClusterIssuer, Name: "lab-ca"},
			Ports: []v1alpha1.TransitPort{{Name: "hl7", Port: 2575, AllowFrom: []v1alpha1.IngressPeer{
				{LabWorkload: &v1alpha1.LabWorkloadReference{Name: "engine", Namespace: "pathology"}},
				{Pods: &v1alpha1.PodPeer{NamespaceSelector: &metav1.LabelSelector{}}, Plaintext: &v1alpha1.PlaintextException{Reason: "until the vendor ships", Expires: metav1.Time{Time: noon.AddDate(0, 1, 0)}}},
				{External: &v1alpha1.ExternalPeer{CIDRs: []v1alpha1.CIDR{"10.30.0.0/16"}, Identities: []string{"spiffe://vendor.example/analyzer/*"}}},
				{LabWorkload: &v1alpha1.LabWorkloadReference{Name: "lost", Namespace: "gone"}},
			}}},
		}},
		MFA: &v1alpha1.MFASpec{},
	}
	lis.Status = v1alpha1.LabWorkloadStatus{
		ObservedGeneration: 2, Preview: &v1alpha1.EnforcementPreview{LosesPath: []string{"pod portal-0 could no longer reach TCP port 2575 of these pods"}},
		Transit: &v1alpha1.TransitStatus{Stage: v1alpha1.TransitStagePermissive, Blockers: []string{
			"10.1.0.4 speaks plaintext to port 2575: let it use mutual TLS, or declare it with an exception", "10.44.0.7 speaks plaintext to port 2575: let it", "pod lis-0 has no airlock: it gets it when it is replaced",
		}},
		Conditions: []metav1.Condition{{Type: v1alpha1.ConditionMFAEnforced, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonAudit, Message: "logins are not asked for"}},
	}
	portal := v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "portal", Generation: 3}, Spec: v1alpha1.LabWorkloadSpec{
		Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "portal"}}, Enforcement: v1alpha1.EnforcementEnforce, Images: &v1alpha1.ImagesSpec{MaxAge: "720h", OnStale: v1alpha1.OnStaleHold},
	}}
	engine := v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "engine"}, Spec: v1alpha1.LabWorkloadSpec{
		Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "engine"}}, Enforcement: v1alpha1.EnforcementEnforce, Images: &v1alpha1.ImagesSpec{MaxAge: "720h"},
	}}
	facts.Workloads = append(facts.Workloads, lis, portal, engine)
	return facts
}

func TestLabWorkloadsThatAreThereGetWhatTheyLack(t *testing.T) {
	t.Parallel()
	golden.Text(t, "observed", told(t, plan.Of(observed(t))))
}

func TestWhatIsPrintedIsWhatIsMeant(t *testing.T) {
	t.Parallel()
	for name, facts := range map[string]plan.Facts{"new": pathology(t), "observed": observed(t)} {
		planned := plan.Of(facts)
		text, err := planned.YAML()
		if err != nil {
			t.Fatal(err)
		}
		documents := strings.Split(text, "---\n")
		if len(documents) != len(planned.Workloads) {
			t.Fatalf("%s: %d documents for %d LabWorkloads", name, len(documents), len(planned.Workloads))
		}
		for i, document := range documents {
			var read v1alpha1.LabWorkload
			if err := yaml.UnmarshalStrict([]byte(document), &read); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, document)
			}
			if diff := cmp.Diff(planned.Workloads[i].Manifest, &read); diff != "" {
				t.Errorf("%s (-meant +printed):\n%s", name, diff)
			}
		}
	}
}

func TestWhatIsPrintedCommandsNoTerminalAndIsTheSameText(t *testing.T) {
	t.Parallel()
	const reason = "the vendor \u009b31m says\u202e so\x7f, \U000e0001 and \u2028 more"
	facts := observed(t)
	for i := range facts.Workloads {
		if facts.Workloads[i].Spec.Images != nil {
			facts.Workloads[i].Spec.Images.Exempt = []v1alpha1.ImageExemption{{Pattern: "registry.example/vendor/lis", Reason: reason}}
		}
	}
	planned := plan.Of(facts)
	text, err := planned.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(text, "\n") {
		if tree.Visible(line) != line {
			t.Errorf("it prints %q", line)
		}
	}
	found := 0
	for document := range strings.SplitSeq(text, "---\n") {
		var read v1alpha1.LabWorkload
		if err := yaml.UnmarshalStrict([]byte(document), &read); err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		if images := read.Spec.Images; images != nil && len(images.Exempt) == 1 && images.Exempt[0].Reason == reason {
			found++
		}
	}
	if found == 0 {
		t.Errorf("no reason is read as it was:\n%s", text)
	}
}

// inForce is what a spec enforces, at once or from some day on, with the two directions of the network apart.
type inForce struct{ ingress, egress, transit, images, mfa, training bool }

func enforcedBy(spec *v1alpha1.LabWorkloadSpec) inForce {
	atOnce := spec.DeepCopy()
	atOnce.EnforceAfter = ""
	of := posture.EnforcementAt(atOnce, noon)
	return inForce{
		ingress: of.Network && posture.Transit(spec) != nil && len(posture.Transit(spec).Ports) > 0,
		egress:  of.Network && spec.Network != nil && spec.Network.Egress != nil,
		transit: of.Transit, images: of.Images, mfa: of.MFA, training: of.Training,
	}
}

func TestNothingThatIsPastedEnforcesMoreOrLessThanBefore(t *testing.T) {
	t.Parallel()
	facts := observed(t)
	before := map[string]inForce{}
	for i := range facts.Workloads {
		before[facts.Workloads[i].Name] = enforcedBy(&facts.Workloads[i].Spec)
	}
	for _, one := range plan.Of(facts).Workloads {
		if was, after := before[one.Name], enforcedBy(&one.Manifest.Spec); was != after {
			t.Errorf("%s enforced %+v, and pasted %+v", one.Name, was, after)
		}
	}
	for name, spec := range specsOfLIS() {
		facts := pathology(t)
		facts.Workloads = append(facts.Workloads, v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis"}, Spec: spec})
		for _, one := range plan.Of(facts).Workloads {
			if was, after := enforcedBy(&spec), enforcedBy(&one.Manifest.Spec); one.Name == "lis" && was != after {
				t.Errorf("%s: it enforced %+v, and pasted %+v", name, was, after)
			}
		}
	}
}

// specsOfLIS are all ways to enforce a part of the network, with and without what there is to enforce.
func specsOfLIS() map[string]v1alpha1.LabWorkloadSpec {
	issuer := v1alpha1.IssuerReference{Kind: v1alpha1.IssuerKindClusterIssuer, Name: "lab-ca"}
	specs := map[string]v1alpha1.LabWorkloadSpec{}
	words := []v1alpha1.Enforcement{"", v1alpha1.EnforcementAudit, v1alpha1.EnforcementEnforce}
	for _, enforcement := range words {
		for _, ofNetwork := range append([]v1alpha1.Enforcement{"no network"}, words...) {
			for _, after := range []string{"", "2027-01-01", "2027-02-30"} {
				for _, egress := range [][]v1alpha1.EgressPeer{nil, {}} {
					for _, transit := range []*v1alpha1.InTransitSpec{
						nil, {Provider: v1alpha1.TransitProviderSidecar, IssuerRef: issuer},
						{Provider: v1alpha1.TransitProviderSidecar, IssuerRef: issuer, Ports: []v1alpha1.TransitPort{{Name: "mllp", Port: 2575}}},
					} {
						spec := v1alpha1.LabWorkloadSpec{Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}}, Enforcement: enforcement, EnforceAfter: after}
						if ofNetwork != "no network" {
							spec.Network = &v1alpha1.NetworkSpec{Enforcement: ofNetwork, Egress: egress}
						}
						if transit != nil {
							spec.Encryption = &v1alpha1.EncryptionSpec{InTransit: transit}
						}
						specs[fmt.Sprintf("enforcement %q after %q, network %q with egress %t, transit %+v", enforcement, after, ofNetwork, egress != nil, transit)] = spec
					}
				}
			}
		}
	}
	return specs
}

func TestPortsBesideAnEnforcedEgressAreToldAndNotWritten(t *testing.T) {
	t.Parallel()
	facts := pathology(t)
	facts.Workloads = append(facts.Workloads, v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis"}, Spec: v1alpha1.LabWorkloadSpec{
		Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}}, Enforcement: v1alpha1.EnforcementAudit,
		Network: &v1alpha1.NetworkSpec{Enforcement: v1alpha1.EnforcementEnforce, Egress: []v1alpha1.EgressPeer{}},
	}})
	text := told(t, plan.Of(facts))
	for _, want := range []string{
		"not known: what ports would cut: none is written, because network.egress is enforced",
		"left out: port 2575 for LabWorkload engine: env LIS_URL", "# port 9090 (port-9090): nobody is known to connect\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "UDP port 514") {
		t.Errorf("nothing closes a port, and it is said\n%s", text)
	}
}

// What airlock sees reaches the plugin in the words of a blocker alone.
func TestThePeersThatAirlockSeesAreReadFromWhatLabguardWrites(t *testing.T) {
	t.Parallel()
	decided := posture.DecideStage(posture.StageObservation{
		Goal: v1alpha1.TransitStageStrict, Ports: 1, NetworkEnforced: true, Pods: []posture.AirlockPod{{Name: "lis-0", Injected: true, Facts: posture.AirlockFacts{
			ReportedAt: noon, Report: report.Report{Ports: []report.Port{{Port: 2575, Undeclared: []report.PlaintextPeer{{Address: "10.1.0.4", LastSeen: noon.Add(-time.Minute)}}}}},
		}}},
	}, noon)
	facts := observed(t)
	for i := range facts.Workloads {
		if facts.Workloads[i].Name == "lis" {
			facts.Workloads[i].Status.Transit.Blockers = decided.Blockers
		}
	}
	text := told(t, plan.Of(facts))
	if want := "kept: port 2575 for LabWorkload portal: airlock has seen pod pathology/portal-0 (10.1.0.4) speak plaintext to it"; !strings.Contains(text, want) {
		t.Errorf("%v\nthere is no %q in\n%s", decided.Blockers, want, text)
	}
}

func TestALongListIsCut(t *testing.T) {
	t.Parallel()
	facts := plan.Facts{Namespace: "pathology", Now: noon}
	var ports []corev1.ContainerPort
	for number := range int32(40) {
		ports = append(ports, corev1.ContainerPort{Name: "same", ContainerPort: 3000 + number})
	}
	facts.Roots = []plan.Root{deployment(t, "lis", corev1.Container{Ports: ports})}
	for number := range 30 {
		facts.Pods = append(facts.Pods, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: fmt.Sprintf("pod-%d", number)}})
	}
	planned := plan.Of(facts)
	transit := planned.Workloads[0].Manifest.Spec.Encryption.InTransit
	text := told(t, planned)
	if len(transit.Ports) != 32 || !strings.Contains(text, "port 3039: a LabWorkload has at most 32 ports") || !strings.Contains(text, "and 20 more") {
		t.Errorf("%d ports\n%s", len(transit.Ports), text)
	}
	names := map[string]bool{}
	for _, port := range transit.Ports {
		names[port.Name] = true
	}
	if len(names) != 32 {
		t.Errorf("the names are %v", names)
	}
}

func TestANameOfAServiceIsRecognized(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{
		"LIS_HOST=lis": true, "LIS_URL=http://lis/x": true, "X=lis:2575": true, "X=lis:80": false, "X=lis": false, "X=tcp://user:p@lis:2575": true, "X=lis.pathology": true,
		"X=lis.pathology.svc.cluster.local:2575": true, "X=lis.pathology:81": false, "X=lis.pathology.example": false, "X=relis:2575": false, "X=lis-db:2575": false, "HOST=lis and more": false,
		"X=a,LIS:2575": true,
	} {
		name, text, _ := strings.Cut(value, "=")
		facts := pathology(t)
		facts.Roots = []plan.Root{facts.Roots[0], deployment(t, "caller", corev1.Container{Env: []corev1.EnvVar{{Name: name, Value: text}}})}
		facts.Pods, facts.Workloads, facts.Policies = nil, nil, nil
		planned, err := json.Marshal(plan.Of(facts))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(planned), "names Service lis"); got != want {
			t.Errorf("%s: %t, want %t", value, got, want)
		}
	}
}
