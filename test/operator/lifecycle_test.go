// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/operator"
	"github.com/labguard/labguard/internal/testutil/pki"
)

// TestLifecycle follows LabWorkloads and what labguard writes for them through creation, drift, time and deletion.
func TestLifecycle(t *testing.T) {
	withDNS(t)
	withIssuers(t)
	running := operator.Start(t, operator.Options{Configuration: operator.Configuration() + sidecars(t)})
	fresh := operator.Push(t, "lab/life:fresh", 10*day)
	t.Run("in namespaces of their own", func(t *testing.T) {
		for name, test := range map[string]func(t *testing.T){
			"a child that is deleted comes back, one that is edited is put right": childrenComeBack,
			"children go with their LabWorkload":                                  childrenGo,
			"suspend freezes labguard's writes and leaves the gate":               func(t *testing.T) { suspended(t, fresh) },
			"enforceAfter is Audit until its instant, and Enforce from then on":   enforceAfter,
			"a LabWorkload in an excluded namespace never lists it (B2)":          excludedNamespace,
			"the samples apply cleanly and reconcile":                             samples,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t)
			})
		}
	})
	t.Run("an object of the gate that is deleted comes back, one that is edited is put right", gateComesBack)
	t.Run("the gate goes with its anchor and comes back with it (B1)", gateGoesWithItsAnchor)
	t.Run("status says -1 before the first look, and every condition says of which generation it speaks", func(t *testing.T) { generations(t, running) })
	t.Run("what has converged is not written again, also after a restart", func(t *testing.T) { quiet(t, running, fresh) })
}

// sidecars is what the configuration has to say for the samples of mutual TLS: the roots of the cluster and of a vendor, and an image of airlock, which no pod
// pulls here.
func sidecars(t *testing.T) string {
	t.Helper()
	encoded := kubectl(t, "get", "secret", "lab-ca", "-n", "cert-manager", "-o", `jsonpath={.data.ca\.crt}`)
	root, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	indented := func(text string) string {
		return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
	}
	return "airlock: {image: \"registry.example/airlock@sha256:" + strings.Repeat("a", 64) + "\"}\n" +
		"trustDomains:\n- name: lab.example\n  roots: |\n" + indented(string(root)) +
		"externalAuthorities:\n- name: vendor\n  roots: |\n" + indented(pki.NewAuthority(t, "vendor").Text()) +
		"  identities: [\"spiffe://vendor.example/analyzer/*\"]\n  dnsNames: [ward-gateway.vendor.example]\n"
}

// everything is a LabWorkload that makes each requirement.
func everything(spec *v1alpha1.LabWorkloadSpec) {
	encrypted("lis")(spec)
	spec.Encryption.InTransit.Ports = []v1alpha1.TransitPort{port(2575, fromBlocks("10.20.0.0/16"))}
	egress(v1alpha1.EgressPeer{CIDRs: []v1alpha1.CIDR{"10.9.0.0/16"}})(spec)
	spec.Images = &v1alpha1.ImagesSpec{MaxAge: "2160h"}
}

func childrenComeBack(t *testing.T) {
	l := newLab(t)
	l.declare("lis", everything, only())
	l.ready("lis")
	policy, certificate := &networkingv1.NetworkPolicy{}, &certmanagerv1.Certificate{}
	if err := errors.Join(l.get("labguard-lis", policy), l.get("labguard-lis", certificate)); err != nil {
		t.Fatal(err)
	}
	back := func(what string, notUID types.UID) {
		t.Helper()
		operator.Eventually(l, "the children after: "+what, func() error {
			nowPolicy, nowCertificate := &networkingv1.NetworkPolicy{}, &certmanagerv1.Certificate{}
			if err := errors.Join(l.get("labguard-lis", nowPolicy), l.get("labguard-lis", nowCertificate)); err != nil {
				return err
			}
			if nowPolicy.UID == notUID || nowCertificate.UID == notUID {
				return errors.New("it is the old object")
			}
			if diff := gocmp.Diff(policy.Spec, nowPolicy.Spec) + gocmp.Diff(certificate.Spec, nowCertificate.Spec) + gocmp.Diff(policy.Labels, nowPolicy.Labels) +
				gocmp.Diff(policy.OwnerReferences, nowPolicy.OwnerReferences); diff != "" {
				return fmt.Errorf("they differ (-want +got):\n%s", diff)
			}
			return nil
		})
	}
	l.may("delete", "networkpolicy", "labguard-lis")
	back("the policy was deleted", policy.UID)
	l.kubectl("delete", "certificate", "labguard-lis", "-n", l.namespace)
	back("the certificate was deleted", certificate.UID)
	for _, edit := range []struct{ kind, patch string }{
		{"networkpolicy", `[{"op":"add","path":"/spec/ingress/-","value":{}}]`},
		{"networkpolicy", `[{"op":"replace","path":"/spec/podSelector","value":{"matchLabels":{"app":"nobody"}}}]`},
		{"networkpolicy", `[{"op":"replace","path":"/spec/policyTypes","value":["Ingress"]}]`},
		{"networkpolicy", `[{"op":"remove","path":"/metadata/labels/app.kubernetes.io~1managed-by"}]`},
		{"certificate", `[{"op":"replace","path":"/spec/duration","value":"87600h"}]`},
		{"certificate", `[{"op":"add","path":"/spec/dnsNames/-","value":"other.example"}]`},
		{"certificate", `[{"op":"add","path":"/spec/ipAddresses","value":["192.0.2.1"]}]`},
	} {
		patch := []string{"patch", edit.kind, "labguard-lis", "-n", l.namespace, "--type=json", "-p", edit.patch}
		if edit.kind == "certificate" { // its issuer is kept for labguard's own Certificates, so it takes labguard's name to edit one
			if output, err := cluster.Kubectl(t, patch...); err == nil || !strings.Contains(err.Error(), "labguard-issuers") {
				t.Errorf("the administrator's edit %s was not refused: %s %v", edit.patch, output, err)
			}
			patch = append(patch, "--as=system:serviceaccount:labguard-system:labguard")
		}
		l.kubectl(patch...)
		back(edit.kind+" "+edit.patch, "")
	}
	l.ready("lis")
	// Without its owner it is as anybody's: labguard says so and does not take it.
	l.may("patch", "networkpolicy", "labguard-lis", "--type=json", "-p", `[{"op":"remove","path":"/metadata/ownerReferences"}]`)
	l.condition("lis", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNameTaken)
	l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionFalse, v1alpha1.ReasonNameTaken)
	l.may("delete", "networkpolicy", "labguard-lis")
	back("the policy was orphaned and deleted", policy.UID)
	l.ready("lis")
	// A direction that the spec does not restrict is nobody's to add either.
	l.declare("listens", only(ports(port(2575))))
	l.there("labguard-listens", &networkingv1.NetworkPolicy{})
	l.allows("listens", ingressOnly)
	l.may("patch", "networkpolicy", "labguard-listens", "--type=json", "-p", `[{"op":"add","path":"/spec/ingress","value":[{}]}]`)
	l.allows("listens", ingressOnly)
}

func childrenGo(t *testing.T) {
	l := newLab(t)
	l.declare("lis", everything, only())
	l.ready("lis")
	l.may("delete", "labworkload", "lis")
	l.gone("labguard-lis", &networkingv1.NetworkPolicy{})
	l.gone("labguard-lis", &certmanagerv1.Certificate{})
}

func suspended(t *testing.T, fresh string) {
	l := newLab(t)
	l.govern("lis", egress())
	l.apply(deployment("lis", fresh))
	l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Suspend = true })
	l.condition("lis", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonSuspended)
	l.calm("lis")
	if said := status(l, "lis").Enforcement; said != "Suspended" {
		t.Errorf("status.enforcement is %s", said)
	}
	// The child drifts, its spec changes, and it stays as it is.
	l.may("delete", "networkpolicy", "labguard-lis")
	l.change("lis", egress(to("elsewhere", "")))
	l.condition("lis", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonSuspended)
	if err := l.get("labguard-lis", &networkingv1.NetworkPolicy{}); err == nil {
		t.Error("a suspended LabWorkload was written for")
	}
	stale := operator.Push(t, "lab/life:stale", 200*day)
	l.mayNot([]string{"is stale"}, "set", "image", "deployment/lis", "lis="+stale)
	l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Suspend = false })
	l.there("labguard-lis", &networkingv1.NetworkPolicy{})
}

// calm fails the test if a LabWorkload says that it is on its way or stuck.
func (l *lab) calm(name string) {
	l.Helper()
	for _, kind := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
		if found := meta.FindStatusCondition(status(l, name).Conditions, kind); found != nil {
			l.Errorf("LabWorkload %s is %s: %s", name, kind, found.Message)
		}
	}
}

func enforceAfter(t *testing.T) {
	l := newLab(t)
	at := time.Now().Add(15 * time.Second).UTC().Truncate(time.Second)
	l.declare("lis", only(egress()), func(spec *v1alpha1.LabWorkloadSpec) { spec.EnforceAfter = at.Format(time.RFC3339) })
	l.condition("lis", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAudit)
	found := status(l, "lis")
	if found.Enforcement != "Audit until "+at.Format(time.RFC3339) || found.NextChangeAt == nil || !found.NextChangeAt.Time.Equal(at) {
		t.Errorf("the status says %q, next change at %v", found.Enforcement, found.NextChangeAt)
	}
	policy := &networkingv1.NetworkPolicy{}
	if err := l.get("labguard-lis", policy); err == nil && time.Now().Before(at) {
		t.Error("a policy was written before its time")
	}
	l.there("labguard-lis", policy)
	// What is in force changes at the instant; only reports are spread over a minute. The machine may be busy.
	if late := policy.CreationTimestamp.Sub(at); late < 0 || late > 15*time.Second {
		t.Errorf("the policy came %s after the instant", late)
	}
	l.condition("lis", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReconciled)
	if said := status(l, "lis").Enforcement; said != "Enforce" {
		t.Errorf("status.enforcement is %s", said)
	}
}

func excludedNamespace(t *testing.T) {
	l := &lab{TB: t, Client: clientFor(t, cluster.Config()), namespace: "cert-manager"}
	workload := l.declare("issuer")
	t.Cleanup(func() { kubectl(t, "delete", "labworkload", workload.Name, "-n", l.namespace) })
	l.condition("issuer", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNamespaceExcluded)
	l.condition("issuer", v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonNamespaceExcluded)
	if slices.Contains(listed(t), l.namespace) {
		t.Error("an excluded namespace is listed in the webhooks")
	}
}

// listed are the namespaces that the webhooks name.
func listed(t testing.TB) []string {
	t.Helper()
	return strings.Fields(kubectl(t, "get", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "-l", ofLabguard,
		"-o", "jsonpath={.items[*].webhooks[*].namespaceSelector.matchExpressions[*].values[*]}"))
}

const ofLabguard = v1alpha1.ManagedByLabel + "=" + v1alpha1.ManagedByValue

func samples(t *testing.T) {
	namespaces := []string{"pathology", "chemistry", "haematology", "transfusion"}
	for _, name := range namespaces {
		kubectl(t, "create", "namespace", name)
		t.Cleanup(func() { kubectl(t, "delete", "namespace", name, "--wait=false") })
	}
	applied := kubectl(t, "apply", "--warnings-as-errors", "-k", "../../config/samples")
	for line := range strings.Lines(applied) {
		object, verb, _ := strings.Cut(strings.TrimSpace(line), " ")
		if verb != "created" {
			t.Errorf("%s is %s", object, verb)
		}
	}
	for _, name := range namespaces {
		kubectl(t, "wait", "--for=condition=Ready", "--timeout=120s", "labworkloads", "--all", "-n", name)
	}
	for line := range strings.Lines(kubectl(t, "apply", "-k", "../../config/samples")) {
		if !strings.HasSuffix(strings.TrimSpace(line), "unchanged") {
			t.Errorf("a second apply: %s", line)
		}
	}
	l := &lab{TB: t, Client: clientFor(t, cluster.Config()), namespace: "pathology"}
	l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
	l.allows("lis", ingressOnly, egressOnly,
		"Ingress from app=interface-engine on TCP 2575", "Ingress from app=analyzer-gateway in "+named("chemistry")+" on TCP 2575",
		"Ingress from <none> in "+named("monitoring")+" on TCP 9090",
		"Egress to app=interface-engine on every port", "Egress to 10.9.0.0/16 on TCP 443")
}

// ofTheGate are the kinds of which labguard has objects that hold for the cluster.
const ofTheGate = "mutatingwebhookconfigurations,validatingwebhookconfigurations,mutatingadmissionpolicies,mutatingadmissionpolicybindings," +
	"validatingadmissionpolicies,validatingadmissionpolicybindings"

// gateObject is one of them, in as far as it says what it does.
type gateObject struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name string    `json:"name"`
		UID  types.UID `json:"uid"`
	} `json:"metadata"`
	Webhooks any `json:"webhooks"`
	Spec     any `json:"spec"`
}

// gate is what exists of the gate. Of the namespaces that the webhooks name, one is looked at: others come and go with their tests.
func gate(t testing.TB, namespace string) map[string]gateObject {
	t.Helper()
	printed := kubectl(t, "get", ofTheGate, "-l", ofLabguard, "-o", "json")
	var list struct{ Items []gateObject }
	others := regexp.MustCompile(`"values": \[[^\]]*"` + namespace + `"[^\]]*\]`)
	if err := json.Unmarshal([]byte(others.ReplaceAllString(printed, `"values": ["`+namespace+`"]`)), &list); err != nil {
		t.Fatal(err)
	}
	found := map[string]gateObject{}
	for _, object := range list.Items {
		found[strings.ToLower(object.Kind)+"/"+object.Metadata.Name] = object
	}
	return found
}

func gateComesBack(t *testing.T) {
	l := newLab(t)
	l.govern("lis")
	before := gate(t, l.namespace)
	if len(before) < 6 {
		t.Fatalf("the gate has %d objects: %v", len(before), before)
	}
	back := func(name string, other bool) {
		t.Helper()
		operator.Eventually(t, name+" is as it was", func() error {
			now, there := gate(t, l.namespace)[name]
			if !there || other && now.Metadata.UID == before[name].Metadata.UID {
				return errors.New("it is not there")
			}
			if diff := gocmp.Diff(before[name].Spec, now.Spec) + gocmp.Diff(before[name].Webhooks, now.Webhooks); diff != "" {
				return fmt.Errorf("it differs (-want +got):\n%s", diff)
			}
			return nil
		})
	}
	for name, object := range before {
		kubectl(t, "delete", name)
		back(name, true)
		var edits []string
		switch {
		case object.Webhooks != nil:
			edits = []string{
				`[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]`,
				`[{"op":"replace","path":"/webhooks/0/namespaceSelector","value":{"matchLabels":{"never":"x"}}}]`,
				`[{"op":"replace","path":"/webhooks/0/objectSelector","value":{"matchLabels":{"never":"x"}}}]`,
				`[{"op":"remove","path":"/webhooks/0"}]`,
			}
		case strings.Contains(name, "binding"):
			edits = []string{`[{"op":"add","path":"/spec/matchResources","value":{"namespaceSelector":{"matchLabels":{"never":"x"}}}}]`}
		default:
			edits = []string{
				`[{"op":"add","path":"/spec/matchConditions","value":[{"name":"never","expression":"false"}]}]`,
				`[{"op":"replace","path":"/spec/matchConstraints/resourceRules/0/resources","value":["leases"]}]`,
			}
		}
		for _, edit := range edits {
			kubectl(t, "patch", name, "--type=json", "-p", edit)
			back(name, false)
		}
	}
}

func gateGoesWithItsAnchor(t *testing.T) {
	l := newLab(t)
	l.govern("lis")
	kubectl(t, "delete", "clusterrole", "labguard-webhook-anchor")
	operator.Eventually(t, "the gate is gone", func() error {
		if found := gate(t, l.namespace); len(found) > 0 {
			return fmt.Errorf("%d objects are there", len(found))
		}
		return nil
	})
	install(t)
	operator.Eventually(t, "the gate is back", func() error {
		if found := gate(t, l.namespace); len(found) < 6 || !slices.Contains(listed(t), l.namespace) {
			return fmt.Errorf("%d objects are there", len(found))
		}
		return nil
	})
	l.ready("lis")
}

// install applies labguard's manifests anew.
func install(t testing.TB) {
	t.Helper()
	kubectl(t, "apply", "--server-side", "-k", "../../config/rbac")
}

func generations(t *testing.T, running *operator.Operator) {
	l := newLab(t)
	running.Stop(t)
	l.declare("lis", everything, only())
	if found := status(l, "lis"); found.ObservedGeneration != -1 || len(found.Conditions) != 0 {
		t.Errorf("before the first look the status is %+v", found)
	}
	running.Run(t)
	l.ready("lis")
	l.calm("lis")
	l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Network.Egress = []v1alpha1.EgressPeer{} })
	l.ready("lis")
	workload := &v1alpha1.LabWorkload{}
	if err := l.get("lis", workload); err != nil {
		t.Fatal(err)
	}
	if workload.Generation != 2 || workload.Status.ObservedGeneration != 2 {
		t.Errorf("generation %d, observed %d", workload.Generation, workload.Status.ObservedGeneration)
	}
	for _, condition := range workload.Status.Conditions {
		if condition.ObservedGeneration != 2 {
			t.Errorf("condition %s speaks of generation %d", condition.Type, condition.ObservedGeneration)
		}
	}
}

// quietFor is how long nothing may be written until a system counts as converged: longer than anything that labguard gathers or samples.
const quietFor = 6 * time.Second

func quiet(t *testing.T, running *operator.Operator, fresh string) {
	l := newLab(t)
	l.govern("lis", everything)
	l.apply(deployment("lis", fresh))
	l.apply(manifests("other", fresh)["pod"])
	l.govern("audit", func(spec *v1alpha1.LabWorkloadSpec) { spec.Enforcement = v1alpha1.EnforcementAudit })
	l.admitted("deployment-lis", fresh, v1alpha1.AdmittedFresh)
	before := awaitQuiet(t, 0)
	for _, words := range [][]string{
		{"label", "pod", "other", "irrelevant=yes"}, {"annotate", "deployment", "lis", "irrelevant=yes"}, {"label", "labworkload", "lis", "irrelevant=yes"},
		{"create", "configmap", "irrelevant"},
	} {
		l.may(words...)
	}
	after := awaitQuiet(t, len(before))
	running.Kill(t)
	running.Run(t)
	l.ready("lis")
	after = append(after, awaitQuiet(t, len(before)+len(after))...)
	if len(after) > 0 {
		t.Errorf("a converged system wrote:\n%s", strings.Join(after, "\n"))
	}
}

// awaitQuiet waits until labguard has written nothing for a while and returns what it has written since a line.
func awaitQuiet(t testing.TB, since int) []string {
	t.Helper()
	seen, at := writes(t), time.Now()
	operator.Eventually(t, "labguard is quiet", func() error {
		now := writes(t)
		if len(now) > len(seen) {
			seen, at = now, time.Now()
		}
		if time.Since(at) < quietFor {
			return fmt.Errorf("the last write was %s", seen[len(seen)-1])
		}
		return nil
	})
	return seen[since:]
}

// writes are the requests of labguard that wrote something, in order. Dry runs of the canary write nothing; leases and events are what a
// process of Kubernetes says of itself and no object of anybody; reviews of tokens and rights are questions in the form of a create.
func writes(t testing.TB) []string {
	t.Helper()
	file, err := os.Open(cluster.AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var found []string
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return found // the end, or a line that is being written
		}
		var event struct {
			Verb, RequestURI string
			ObjectRef        struct{ Resource, Namespace, Name, Subresource string }
		}
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatalf("read the audit log: %v", err)
		}
		passing := []string{"leases", "events", "tokenreviews", "subjectaccessreviews"}
		if strings.Contains(event.RequestURI, "dryRun=All") || slices.Contains(passing, event.ObjectRef.Resource) {
			continue
		}
		found = append(found, fmt.Sprintf("%s %+v", event.Verb, event.ObjectRef))
	}
}

// TestRestartBetweenSteps kills the operator after each step and compares where that leads with an undisturbed run.
func TestRestartBetweenSteps(t *testing.T) {
	withDNS(t)
	withIssuers(t)
	running := operator.Start(t, operator.Options{})
	fresh, newer := operator.Push(t, "lab/steps:fresh", 10*day), operator.Push(t, "lab/steps:newer", 5*day)
	walk := func(between func()) (before, after map[string]any) {
		l := newLab(t)
		l.declare("lis", everything)
		between()
		l.ready("lis")
		l.apply(deployment("lis", fresh))
		between()
		l.admitted("deployment-lis", fresh, v1alpha1.AdmittedFresh)
		l.may("set", "image", "deployment/lis", "lis="+newer)
		between()
		l.admitted("deployment-lis", newer, v1alpha1.AdmittedFresh)
		l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) {
			spec.Images.MaxAge = "4320h"
			spec.Encryption.InTransit.Certificate.Services = []string{"lis", "portal"}
			spec.Encryption.InTransit.Ports = append(spec.Encryption.InTransit.Ports, port(9090))
		})
		between()
		l.ready("lis")
		l.condition("lis", v1alpha1.ConditionImagesFresh, metav1.ConditionTrue, v1alpha1.ReasonImageFresh)
		before = l.state()
		l.may("delete", "labworkload", "lis")
		between()
		l.gone("labguard-lis", &networkingv1.NetworkPolicy{})
		l.gone("labguard-lis", &certmanagerv1.Certificate{})
		return before, l.state()
	}
	wantBefore, wantAfter := walk(func() {})
	gotBefore, gotAfter := walk(func() {
		running.Kill(t)
		running.Run(t)
	})
	if diff := gocmp.Diff(wantBefore, gotBefore); diff != "" {
		t.Errorf("with restarts the end differs (-without +with):\n%s", diff)
	}
	if diff := gocmp.Diff(wantAfter, gotAfter); diff != "" {
		t.Errorf("with restarts the end after the deletion differs (-without +with):\n%s", diff)
	}
}

// state is what labguard has made of a namespace, without names, times and numbers that differ from one namespace to the next.
func (l *lab) state() map[string]any {
	l.Helper()
	found := map[string]any{}
	note := func(key string, value any) {
		encoded, err := json.Marshal(value)
		if err != nil {
			l.Fatal(err)
		}
		found[key] = strings.ReplaceAll(string(encoded), l.namespace, "<namespace>")
	}
	var policies networkingv1.NetworkPolicyList
	var certificates certmanagerv1.CertificateList
	var records v1alpha1.RolloutRecordList
	var workloads v1alpha1.LabWorkloadList
	for _, list := range []client.ObjectList{&policies, &certificates, &records, &workloads} {
		if err := l.List(l.Context(), list, client.InNamespace(l.namespace)); err != nil {
			l.Fatal(err)
		}
	}
	for _, policy := range policies.Items {
		note("policy "+policy.Name, policy.Spec)
	}
	for _, certificate := range certificates.Items {
		note("certificate "+certificate.Name, certificate.Spec)
	}
	for _, record := range records.Items {
		admitted := []string{}
		for _, image := range record.Spec.Admitted {
			admitted = append(admitted, image.Container+" "+image.Reference+" "+string(image.Reason))
		}
		note("record "+record.Name, slices.Sorted(slices.Values(admitted)))
	}
	for _, workload := range workloads.Items {
		conditions := map[string]string{}
		for _, condition := range workload.Status.Conditions {
			conditions[condition.Type] = string(condition.Status) + " " + condition.Reason + " " + condition.Message
		}
		note("conditions "+workload.Name, conditions)
		note("summary "+workload.Name, []any{workload.Status.Enforcement, workload.Status.EnforcedSince != nil, workload.Status.ImageCount})
	}
	return found
}

// TestUninstall removes labguard as most people do: by its namespace (B1).
func TestUninstall(t *testing.T) {
	running := operator.Start(t, operator.Options{})
	l := newLab(t)
	l.govern("lis")
	held := newLab(t)
	held.govern("lis", holdStale)
	held.apply(deployment("lis", operator.Push(t, "lab/gone:held", 200*day)))
	until(held, "lis", "held", isPaused(true))
	kubectl(t, "delete", "namespace", "labguard-system", "--wait=false")
	noGate := func() error {
		if found := gate(t, l.namespace); len(found) > 0 {
			return fmt.Errorf("%d objects of the gate are there", len(found))
		}
		return nil
	}
	operator.Eventually(t, "the gate is gone", noGate)
	until(held, "lis", "released", isPaused(false))
	kubectl(t, "wait", "--for=delete", "--timeout=120s", "namespace/labguard-system")
	running.Stop(t)
	if err := noGate(); err != nil {
		t.Errorf("after the operator has ended: %v\n%s", err, running.Log())
	}
	l.apply(deployment("lis", operator.Push(t, "lab/gone:stale", 200*day))) // nobody refuses any more

	kubectl(t, "create", "namespace", "labguard-system")
	install(t)
	operator.Start(t, operator.Options{})
	l.ready("lis")
	l.mayNot([]string{"is stale"}, "set", "image", "deployment/lis", "lis="+operator.Push(t, "lab/gone:older", 300*day))
}

// TestCertManagerMissing takes the kind Certificate away and brings it back, under a running operator.
func TestCertManagerMissing(t *testing.T) {
	withDNS(t)
	withIssuers(t)
	var definition map[string]any
	if err := json.Unmarshal([]byte(kubectl(t, "get", "crd", "certificates.cert-manager.io", "-o", "json")), &definition); err != nil {
		t.Fatal(err)
	}
	definition["metadata"] = map[string]any{"name": "certificates.cert-manager.io"}
	delete(definition, "status")
	encoded, err := json.Marshal(definition)
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t)
	file := l.file(string(encoded))
	restore := func() {
		kubectl(t, "apply", "--server-side", "--force-conflicts", "-f", file)
		kubectl(t, "wait", "--for=condition=Established", "--timeout=60s", "crd/certificates.cert-manager.io")
	}
	t.Cleanup(restore)
	kubectl(t, "delete", "crd", "certificates.cert-manager.io")
	running := operator.Start(t, operator.Options{}) // it starts without
	l.declare("lis", everything, only())
	missing := func() {
		t.Helper()
		l.condition("lis", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonCertManagerMissing)
		l.condition("lis", v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonCertManagerMissing)
		l.condition("lis", v1alpha1.ConditionTransitEncrypted, metav1.ConditionFalse, v1alpha1.ReasonCertManagerMissing)
		l.there("labguard-lis", &networkingv1.NetworkPolicy{})
	}
	missing()
	restore()
	l.there("labguard-lis", &certmanagerv1.Certificate{})
	l.ready("lis")
	if err := l.get("lis-tls", &corev1.Secret{}); err != nil {
		t.Errorf("there is no certificate: %v", err)
	}
	kubectl(t, "delete", "crd", "certificates.cert-manager.io") // it goes on without
	missing()
	l.may("delete", "networkpolicy", "labguard-lis")
	l.there("labguard-lis", &networkingv1.NetworkPolicy{})
	restore()
	l.there("labguard-lis", &certmanagerv1.Certificate{})
	l.ready("lis")
	running.Stop(t)
}
