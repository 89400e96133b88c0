// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package removal

import (
	"context"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

func TestMain(m *testing.M) {
	// Trials wait for the API server more than they compute. The command line may say otherwise.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(cluster.Main(m, cluster.WithCRDs("../../config/crd/bases")))
}

func kinds(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return scheme
}

func newReconciler(c client.Client, at clock.Clock) *Reconciler {
	return &Reconciler{Client: c, Live: c, Clock: at, Random: func() float64 { return 0 }}
}

// workload asks for the sidecar.
func workload(namespace, name string) *v1alpha1.LabWorkload {
	return &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.LabWorkloadSpec{
			Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}, Enforcement: v1alpha1.EnforcementEnforce,
			Encryption: &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{
				Provider: v1alpha1.TransitProviderSidecar, Stage: v1alpha1.TransitStageStrict, Ports: []v1alpha1.TransitPort{{Name: "mllp", Port: 2575}},
				IssuerRef: v1alpha1.IssuerReference{Kind: v1alpha1.IssuerKindIssuer, Name: "lab-ca"},
			}},
		},
	}
}

// profile is that of a LabWorkload at Strict, as labguard writes it.
func profile(namespace, name string) *v1alpha1.AirlockProfile {
	return &v1alpha1.AirlockProfile{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: desired.ChildName(name),
			Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue, v1alpha1.LabWorkloadLabel: name},
		},
		Spec: v1alpha1.AirlockProfileSpec{
			Workload: name, LabWorkload: name, Stage: v1alpha1.TransitStageStrict, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
			Ports: []v1alpha1.AllocatedPort{{Port: 2575, SidecarPort: 15100}},
			Current: v1alpha1.AirlockRevision{
				Hash: "0123456789abcdef", Image: "registry.example/airlock@sha256:" + strings.Repeat("a", 64), Memory: transit.Memory(1024), Secret: "labguard-" + name + "-identity-1",
				ConfigMap: desired.ChildName(name),
			},
		},
	}
}

// document is one in which the pods of a LabWorkload at Strict reach those of other LabWorkloads.
func document(owner *v1alpha1.AirlockProfile, upstreams ...string) *corev1.ConfigMap {
	var made []string
	for _, name := range upstreams {
		made = append(made, `{"name": "`+name+`", "id": "spiffe://lab.example/ns/`+owner.Namespace+`/labworkload/`+name+`", "minTLSVersion": "1.3"}`)
	}
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: owner.Namespace, Name: owner.Name, Labels: owner.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, v1alpha1.GroupVersion.WithKind("AirlockProfile"))},
		},
		Data: map[string]string{transit.DocumentKey: `{"version": 1, "ports": [{"name": "mllp", "port": 2575, "listenPort": 15100, "stage": "Strict"}], "upstreams": [` + strings.Join(made, ", ") + `]}`},
	}
}

// pod has the sidecar of a LabWorkload.
func pod(namespace, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name + "-0", Labels: map[string]string{v1alpha1.WorkloadLabel: name}},
		// Nobody schedules it, nor says that nobody can.
		Spec: corev1.PodSpec{SchedulerName: "none", Containers: []corev1.Container{{Name: "app", Image: "registry.example/app"}}},
	}
}

// create writes as somebody else does: what labguard takes away it takes away from others too.
func create(ctx context.Context, c client.Client, objects ...client.Object) error {
	for _, object := range objects {
		if err := c.Create(ctx, object, client.FieldOwner("somebody")); err != nil {
			return err
		}
	}
	return nil
}
