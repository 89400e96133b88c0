// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/testutil/golden"
)

var today = time.Date(2027, 1, 15, 6, 0, 0, 0, time.UTC)

// sidecar has the provider Sidecar.
func sidecar(lw *v1alpha1.LabWorkload) {
	lw.Spec.Encryption.InTransit.Provider = v1alpha1.TransitProviderSidecar
}

// inPlaintext gives a peer an exception that ends an hour before or after today.
func inPlaintext(peer v1alpha1.IngressPeer, in time.Duration) v1alpha1.IngressPeer {
	peer.Plaintext = &v1alpha1.PlaintextException{Reason: "for a test", Expires: metav1.NewTime(today.Add(in))}
	return peer
}

func TestThePolicyOpensWhatTheStageSays(t *testing.T) {
	lis := workload("pathology", "lis", port(2575, from("", "engine"), fromOutside("10.20.0.0/16"), inPlaintext(fromPods(nil, labelled("backup")), time.Hour),
		inPlaintext(fromOutside("10.21.0.0/16"), -time.Hour)), port(8443, from("", "portal")), sidecar)
	engine := workload("pathology", "engine", port(2575), sidecar, egress())
	for _, stage := range []v1alpha1.TransitStage{v1alpha1.TransitStageObserve, v1alpha1.TransitStagePermissive, v1alpha1.TransitStageStrict} {
		facts := desired.NetworkFacts{
			Cluster: cluster(), Peers: desired.NewPeers(lis, engine, workload("pathology", "portal")), Now: today,
			Airlocks: map[types.NamespacedName]desired.Airlock{
				{Namespace: "pathology", Name: "lis"}: {Stage: stage, Ports: map[int32]int32{2575: 15100, 8443: 15101}},
			},
			Labguard: desired.Operator{Namespace: "labguard-system", Labels: map[string]string{"app.kubernetes.io/name": "labguard"}},
			Nodes:    []string{"172.18.0.0/24"}, ProbePorts: []int32{2575},
		}
		for _, lw := range []*v1alpha1.LabWorkload{lis, engine} {
			spec, notes := desired.NetworkPolicy(lw, facts)
			golden.YAML(t, "sidecar-"+strings.ToLower(string(stage))+"-"+lw.Name, result{Policy: spec, Notes: notes})
		}
	}
}

func TestTheIdentityOfASidecarAndOfLabguard(t *testing.T) {
	lis := workload("pathology", "lis", port(2575), sidecar)
	profile := &v1alpha1.AirlockProfile{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "labguard-lis", UID: "0b6f5f1e-0000-4000-8000-000000000002"}}
	golden.YAML(t, "sidecar-identity", desired.IdentityCertificate(lis, cluster(), "labguard-lis-identity-1", profile))
	golden.YAML(t, "operator-identity", desired.OperatorCertificate("labguard-system", "lab.example", "lab-ca"))
	if desired.OperatorID("lab.example") == desired.SPIFFEID(workload("labguard", "operator"), "lab.example") {
		t.Error("a LabWorkload can have the identity of labguard")
	}
}

func TestBundles(t *testing.T) {
	golden.YAML(t, "bundle", desired.ClusterTrustBundle(desired.TrustBundle("lab.example"), "PEM", ""))
	golden.YAML(t, "bundle-with-a-leaving-root", desired.ClusterTrustBundle(desired.AuthorityBundle("vendor"), "PEM", "one stays for pod lis-0"))
	golden.YAML(t, "bundles-in-a-configmap", desired.TrustConfigMap("pathology", map[string]string{desired.TrustBundle("lab.example"): "PEM"}, ""))
	golden.YAML(t, "bundles-in-a-configmap-with-a-leaving-root", desired.TrustConfigMap("pathology", nil, "one stays for pod lis-0"))
}

func TestWhatBothSidesHaveAgreedOn(t *testing.T) {
	lis := workload("pathology", "lis", port(8443, from("", "engine")), port(2575, from("", "engine"), from("chemistry", "gw")), sidecar)
	tests := map[string]struct {
		client *v1alpha1.LabWorkload
		want   []int32
	}{
		"one of the namespace that is named":         {client: workload("pathology", "engine"), want: []int32{2575, 8443}},
		"one that names the server":                  {client: workload("pathology", "portal", egress(to("", "lis", tcp(8443)))), want: []int32{8443}},
		"one of another namespace that says nothing": {client: workload("chemistry", "gw")},
		"one of another namespace that says it too":  {client: workload("chemistry", "gw", egress(to("pathology", "lis"))), want: []int32{2575}},
		"one that nobody names":                      {client: workload("pathology", "other")},
		"one that is being deleted":                  {client: workload("pathology", "engine", deleting)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := desired.AgreedPorts(test.client, lis); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	if desired.Sidecar(lis) == nil || desired.Sidecar(workload("pathology", "lis", port(2575))) != nil || desired.Sidecar(workload("pathology", "lis")) != nil {
		t.Error("Sidecar does not tell the providers apart")
	}
}

func TestWhereAServiceLeads(t *testing.T) {
	pods := []desired.Pod{
		{Labels: map[string]string{"app": "lis"}, Ports: []corev1.ContainerPort{{Name: "hl7", ContainerPort: 2575}}},
		{Labels: map[string]string{"app": "lis"}, Ports: []corev1.ContainerPort{{Name: "hl7", ContainerPort: 2576}}},
		{Labels: map[string]string{"app": "other"}, Ports: []corev1.ContainerPort{{Name: "hl7", ContainerPort: 2577}}},
	}
	lis := service("lis", corev1.ServiceTypeClusterIP, intstr.FromString("hl7"))
	if got := desired.Targets(&lis, lis.Spec.Ports[0], pods); !slices.Equal(got, []int32{2575, 2576}) {
		t.Errorf("a port by name leads to %v", got)
	}
	if name := desired.CompanionName(strings.Repeat("s", 63)); len(name) > 63 || !strings.HasSuffix(name, "-mtls") {
		t.Errorf("the companion of a long name is %s", name)
	}
}
