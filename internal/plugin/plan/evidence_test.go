// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/plugin/plan"
	"github.com/labguard/labguard/internal/plugin/tree"
)

// alone is a namespace with the lis, its Service, and one LabWorkload if there are ports or an enforcement for it.
func alone(t *testing.T, enforcement v1alpha1.Enforcement, ports ...v1alpha1.TransitPort) plan.Facts {
	t.Helper()
	lis := deployment(t, "lis", corev1.Container{Ports: []corev1.ContainerPort{{Name: "mllp", ContainerPort: 2575}}})
	facts := plan.Facts{
		Namespace: "pathology", Now: noon, Roots: []plan.Root{lis}, Pods: []corev1.Pod{running(lis, "lis-0", "10.1.0.1")},
		Services: []corev1.Service{service("lis", corev1.ServicePort{Name: "mllp", Port: 2575})}, Gate: gate.Seen{Namespace: "pathology", Now: noon},
	}
	if enforcement != "" {
		facts.Workloads = []v1alpha1.LabWorkload{*governing("pathology", "lis", ports...)}
		facts.Workloads[0].Spec.Enforcement = enforcement
	}
	return facts
}

func governing(namespace, name string, ports ...v1alpha1.TransitPort) *v1alpha1.LabWorkload {
	lw := &v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Generation: 2}}
	lw.Spec.Selector = metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
	lw.Spec.Encryption = &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{
		Provider: v1alpha1.TransitProviderSidecar, IssuerRef: v1alpha1.IssuerReference{Kind: v1alpha1.IssuerKindClusterIssuer, Name: "lab-ca"}, Ports: ports,
	}}
	lw.Status.ObservedGeneration = 2
	return lw
}

// calling is a pod of another namespace that is told to connect to the lis.
func calling(namespace, name string, of map[string]string) corev1.Pod {
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: of}}
	pod.Spec.Containers = []corev1.Container{{Name: "main", Env: []corev1.EnvVar{{Name: "LIS_HOST", Value: "lis.pathology.svc:2575"}}}}
	pod.Status.Phase = corev1.PodRunning
	return pod
}

// only is the one LabWorkload of a plan.
func only(t *testing.T, facts plan.Facts) (plan.Workload, string) {
	t.Helper()
	made := plan.Of(facts)
	text, err := made.YAML()
	if err != nil || len(made.Workloads) != 1 {
		t.Fatalf("%d LabWorkloads, %v", len(made.Workloads), err)
	}
	return made.Workloads[0], text
}

func has(lines []plan.Line, effect plan.Effect, words string) bool {
	return slices.ContainsFunc(lines, func(line plan.Line) bool { return line.Effect == effect && strings.Contains(line.Text, words) })
}

func TestAPeerOfAnotherNamespaceIsKeptOnceBothSidesAgree(t *testing.T) {
	t.Parallel()
	facts := alone(t, "")
	facts.Pods = append(facts.Pods, calling("chemistry", "gw-0", map[string]string{"app": "gw"}))
	facts.Workloads = []v1alpha1.LabWorkload{*governing("chemistry", "gw")}
	const who = "port 2575 for LabWorkload chemistry/gw"
	if found, _ := only(t, facts); !has(found.Network, plan.Cuts, who+", until it names pathology/lis under network.egress") || has(found.Network, plan.Keeps, who) {
		t.Errorf("one side alone: %+v", found.Network)
	}
	facts.Workloads[0].Spec.Network = &v1alpha1.NetworkSpec{Egress: []v1alpha1.EgressPeer{{LabWorkload: &v1alpha1.LabWorkloadReference{Name: "lis", Namespace: "pathology"}}}}
	if found, _ := only(t, facts); !has(found.Network, plan.Keeps, who+":") || has(found.Network, plan.Cuts, who) {
		t.Errorf("both sides: %+v", found.Network)
	}
}

// An empty selector would let in every pod of the namespace.
func TestPodsThatNothingTellsApartOpenNothing(t *testing.T) {
	t.Parallel()
	facts := alone(t, "")
	job := map[string]string{"job-name": "export-1", "batch.kubernetes.io/job-name": "export-1", "controller-uid": "u", "batch.kubernetes.io/controller-uid": "u"}
	facts.Pods = append(facts.Pods, calling("billing", "export-1-x", job))
	facts.Roots = append(facts.Roots, cronJob(t, "nightly", nil, "--lis=lis.pathology"))
	found, _ := only(t, facts)
	for _, words := range []string{"of pod billing/export-1-x names Service lis", "of cronjob/nightly names Service lis"} {
		if !has(found.Network, plan.Unknown, words) {
			t.Errorf("nothing is said of %q: %+v", words, found.Network)
		}
	}
	for _, allowed := range found.Manifest.Spec.Encryption.InTransit.Ports[0].AllowFrom {
		t.Errorf("let in: %+v", allowed)
	}
}

// Whoever may make a pod anywhere can say that it connects.
func TestNothingThatIsPastedOpensWhatIsEnforced(t *testing.T) {
	t.Parallel()
	facts := alone(t, v1alpha1.EnforcementEnforce, v1alpha1.TransitPort{Name: "mllp", Port: 2575})
	facts.Pods = append(facts.Pods, calling("elsewhere", "b", map[string]string{"app": "b"}))
	facts.Services[0].Spec.Type, facts.Services[0].Spec.LoadBalancerSourceRanges = corev1.ServiceTypeLoadBalancer, []string{"192.0.2.0/24"}
	found, text := only(t, facts)
	before, _ := desired.NetworkPolicy(&facts.Workloads[0], desired.NetworkFacts{Peers: desired.NewPeers(&facts.Workloads[0]), Now: noon})
	after, _ := desired.NetworkPolicy(found.Manifest, desired.NetworkFacts{Peers: desired.NewPeers(found.Manifest), Now: noon})
	if diff := cmp.Diff(before, after); diff != "" || before == nil {
		t.Errorf("pasting changes what is enforced (-before +after):\n%s", diff)
	}
	for _, who := range []string{"pods app=b of namespace elsewhere", "external 192.0.2.0/24"} {
		if !strings.Contains(text, "# left out, as it would be open at once: port 2575 (mllp) for "+who+": ") || !has(found.Network, plan.Note, "left out: port 2575 for "+who+": ") {
			t.Errorf("nothing is said of %s:\n%s\n%+v", who, text, found.Network)
		}
	}
}

// The API takes no two ports of one name.
func TestEveryPortHasANameOfItsOwn(t *testing.T) {
	t.Parallel()
	facts := alone(t, v1alpha1.EnforcementAudit, v1alpha1.TransitPort{Name: "http", Port: 8080}, v1alpha1.TransitPort{Name: "port-80", Port: 8443})
	facts.Services = []corev1.Service{service("lis", corev1.ServicePort{Name: "http", Port: 2575, TargetPort: intstr.FromInt32(80)})}
	facts.Pods = append(facts.Pods, calling("billing", "b", map[string]string{"app": "b"}))
	found, _ := only(t, facts)
	names := map[string]int32{}
	for _, port := range found.Manifest.Spec.Encryption.InTransit.Ports {
		if other, twice := names[port.Name]; twice {
			t.Errorf("%s is %d and %d", port.Name, other, port.Port)
		}
		names[port.Name] = port.Port
	}
	if names["http"] != 8080 || names["port-80"] != 8443 || names["port-80-x"] != 80 {
		t.Errorf("ports are %v", names)
	}
}

func TestImagesOfPodsThatNothingHereMakesAreNotForgotten(t *testing.T) {
	t.Parallel()
	facts := alone(t, v1alpha1.EnforcementAudit)
	facts.Roots, facts.Services, facts.Pods[0].OwnerReferences[0].Kind = nil, nil, "Rollout"
	lw := &facts.Workloads[0]
	lw.Spec.Images = &v1alpha1.ImagesSpec{MaxAge: "24h"}
	if found, _ := only(t, facts); !has(found.Images, plan.Unknown, "the images of pods of rollout/lis-x: ") {
		t.Errorf("without a preview: %+v", found.Images)
	}
	lw.Status.Preview = &v1alpha1.EnforcementPreview{RefusedImages: []string{"registry.example/lab/lis:1: stale"}, LosesPath: []string{"pod old"}}
	found, _ := only(t, facts)
	if !has(found.Images, plan.Stops, "as labguard has found: registry.example/lab/lis:1: stale") || has(found.Images, plan.Unknown, "") {
		t.Errorf("with a preview: %+v", found.Images)
	}
	lw.Generation++
	found, _ = only(t, facts)
	if has(found.Images, plan.Stops, "") || !has(found.Images, plan.Unknown, "the images of pods of rollout/lis-x: ") {
		t.Errorf("with the preview of the spec before: %+v", found.Images)
	}
}

func TestAPreviewOfTheSpecBeforeIsNone(t *testing.T) {
	t.Parallel()
	facts := alone(t, v1alpha1.EnforcementAudit, v1alpha1.TransitPort{Name: "mllp", Port: 2575})
	lw := &facts.Workloads[0]
	lw.Status.Preview, lw.Status.Transit = &v1alpha1.EnforcementPreview{LosesPath: []string{"pod engine-0"}}, &v1alpha1.TransitStatus{}
	if found, _ := only(t, facts); !has(found.Network, plan.Cuts, "pod engine-0") {
		t.Errorf("the preview is left out: %+v", found.Network)
	}
	lw.Generation++
	found, _ := only(t, facts)
	if has(found.Network, plan.Cuts, "") || !has(found.Network, plan.Unknown, "labguard has not looked at the latest spec of pathology/lis yet") || !has(found.Transit, plan.Unknown, "labguard has not looked at the latest spec of pathology/lis yet") {
		t.Errorf("the preview is taken for one: %+v, %+v", found.Network, found.Transit)
	}
}

func TestProgramsGetEveryLineAndPeopleTheFirst(t *testing.T) {
	t.Parallel()
	facts := alone(t, "")
	for i := range 15 {
		facts.Pods = append(facts.Pods, calling("billing", fmt.Sprintf("pod-%d", i), map[string]string{"app": fmt.Sprintf("app-%d", i)}))
	}
	made := plan.Of(facts)
	kept := 0
	for _, line := range made.Workloads[0].Network {
		if line.Effect == plan.Keeps {
			kept++
		}
	}
	if kept != 15 {
		t.Errorf("%d are kept: %+v", kept, made.Workloads[0].Network)
	}
	paper := tree.Paper{}
	if text := paper.Draw(made.Draw()...); strings.Count(text, "kept: port 2575 for pods") != 10 || !strings.Contains(text, "kept: and 5 more; -o json has all\n") {
		t.Errorf("people see\n%s", text)
	}
}

func TestNoPeerHasMoreBlocksThanItMay(t *testing.T) {
	t.Parallel()
	facts := alone(t, "")
	facts.Services[0].Spec.Type = corev1.ServiceTypeLoadBalancer
	for i := range 70 {
		facts.Services[0].Spec.LoadBalancerSourceRanges = append(facts.Services[0].Spec.LoadBalancerSourceRanges, fmt.Sprintf("192.0.2.%d/32", i))
	}
	found, _ := only(t, facts)
	var counts []int
	for _, allowed := range found.Manifest.Spec.Encryption.InTransit.Ports[0].AllowFrom {
		counts = append(counts, len(allowed.External.CIDRs))
	}
	if !slices.Equal(counts, []int{32, 32, 6}) {
		t.Errorf("blocks of the peers: %v", counts)
	}
}
