// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"errors"
	"flag"
	"os"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/served"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/reliability"
)

func TestMain(m *testing.M) {
	// Trials wait for the API server more than they compute. The command line may say otherwise.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(cluster.Main(m, cluster.WithCRDs("../../config/crd/bases")))
}

// dated are images whose dates are known; of all others nothing is.
type dated map[string]time.Time

func (d dated) Lookup(query posture.ImageQuery) (posture.ImageFacts, bool) {
	created, known := d[query.Reference]
	if !known {
		return posture.ImageFacts{Unknown: v1alpha1.ReasonRegistryUnreachable, Detail: "no answer"}, true
	}
	return posture.ImageFacts{Digest: "sha256:" + query.Reference, ConfigCreated: created}, true
}

// NextLook is later than the scenario lasts.
func (dated) NextLook(posture.ImageQuery) time.Time { return time.Now().Add(24 * time.Hour) }

func connect(t *testing.T) *reliability.Environment {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme), certmanagerv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	env, err := reliability.Connect(cluster.Config(), nil, scheme)
	if err != nil {
		t.Fatal(err)
	}
	env.Keep = cluster.EndsWithTests()
	return env
}

func TestTheLaboratorySurvivesWhateverGoesWrong(t *testing.T) {
	facts := dated{
		"registry.example/lis:1": time.Now().Add(-24 * time.Hour).Truncate(time.Second),
		"registry.example/lis:2": time.Now().Add(-365 * 24 * time.Hour).Truncate(time.Second),
	}
	reliability.Run(t, connect(t), laboratory(facts))
}

// laboratory has everything that a spec can ask for; then it asks for something else and a child is deleted; then it goes back to Audit,
// which keeps a certificate as it is: that is why nothing changes it before.
func laboratory(facts Facts) reliability.Scenario {
	return reliability.Scenario{
		Name:    "a laboratory",
		Arrange: arrangeLaboratory,
		Disturb: []reliability.Step{
			{Name: "other rules, a policy deleted by hand, and break glass acknowledged", Do: otherRules},
			{Name: "back to Audit", Anytime: true, Do: backToAudit},
		},
		New: func(w *reliability.World, c client.Client) []reliability.Controller {
			r := &Reconciler{
				Client: quiet{c, w}, Live: c, Facts: facts, Served: served.ByMapper{Mapper: c.RESTMapper()}, Clock: w.Clock,
				Random: func() float64 { return 0 }, Recorder: noEvents{},
				Issuers:  []Issuer{{Kind: v1alpha1.IssuerKindClusterIssuer, Name: "absent"}},
				Platform: Platform{TrustDomain: "lab.example", ClusterDomain: "cluster.local", DNSNamespace: w.Namespace, DNSService: "dns"},
				People: People{
					Rights: &knownRights{known: true}, Training: &knownRecords{known: true}, Webhook: standing{w.Namespace: true},
				},
			}
			return []reliability.Controller{{Name: "labworkload", Reconcile: r.Reconcile, Requests: reliability.Each(&v1alpha1.LabWorkloadList{})}}
		},
		Snapshot:    reliability.Kinds(&v1alpha1.LabWorkloadList{}, &networkingv1.NetworkPolicyList{}, &certmanagerv1.CertificateList{}),
		Normalize:   withoutCertManager,
		FieldOwners: []string{v1alpha1.FieldManager},
		Soon:        time.Minute, // how long labguard waits for a kind that is not served
	}
}

// withoutCertManager leaves out what cert-manager says of a certificate.
func withoutCertManager(object *unstructured.Unstructured) {
	if object.GetKind() == certmanagerv1.CertificateKind {
		delete(object.Object, "status")
	}
}

// quiet is a client for which cert-manager has never said a word, since what it says comes when it likes. What goes wrong with the lists of an
// inventory is tried where the books are kept; here Deployments stand for all of them, and what they make.
type quiet struct {
	client.Client
	world *reliability.World
}

func (q quiet) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	err := q.Client.Get(ctx, key, object, options...)
	if certificate, isCertificate := object.(*certmanagerv1.Certificate); isCertificate {
		certificate.Status = certmanagerv1.CertificateStatus{}
	}
	return err
}

func (q quiet) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	switch list.(type) {
	case *appsv1.ReplicaSetList:
		return q.world.Admin.List(ctx, list, options...)
	case *appsv1.StatefulSetList, *appsv1.DaemonSetList, *corev1.ReplicationControllerList, *batchv1.JobList, *batchv1.CronJobList:
		return nil // there are none, and whoever asks for them has an empty list
	default:
		return q.Client.List(ctx, list, options...)
	}
}

func arrangeLaboratory(ctx context.Context, w *reliability.World) error {
	labels := map[string]string{"app": "lis"}
	for _, object := range []client.Object{
		&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "dns"},
			Spec: corev1.ServiceSpec{
				ClusterIP: corev1.ClusterIPNone, Selector: map[string]string{"app": "dns"}, Ports: []corev1.ServicePort{{Port: 53, Protocol: corev1.ProtocolUDP}},
			},
		},
		&networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "of-the-team"},
			Spec: networkingv1.NetworkPolicySpec{PodSelector: metav1.LabelSelector{MatchLabels: labels}, Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"absent": "yes"}}}},
			}}},
		},
		&appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "lis"},
			Spec: appsv1.DeploymentSpec{
				Replicas: ptr.To[int32](0), Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{
					{Name: "lis", Image: "registry.example/lis:1"},
					{Name: "old", Image: "registry.example/lis:2"},
					{Name: "unknown", Image: "registry.example/unknown:1"},
				}}},
			},
		},
		everything(w), emergency(w),
	} {
		if err := w.Admin.Create(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// everything is a LabWorkload that asks for everything there is.
func everything(w *reliability.World) *v1alpha1.LabWorkload {
	return &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "lis"},
		Spec: v1alpha1.LabWorkloadSpec{
			Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}}, Enforcement: v1alpha1.EnforcementEnforce,
			Encryption: &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{
				Provider: v1alpha1.TransitProviderApplication, IssuerRef: v1alpha1.IssuerReference{Name: "absent"},
				Certificate: &v1alpha1.CertificateSpec{Services: []string{"lis"}},
				Ports: []v1alpha1.TransitPort{{Name: "mllp", Port: 2575, AllowFrom: []v1alpha1.IngressPeer{
					{LabWorkload: &v1alpha1.LabWorkloadReference{Name: "lis"}},
					{LabWorkload: &v1alpha1.LabWorkloadReference{Name: "gateway", Namespace: "elsewhere"}},
				}}},
			}},
			Network: &v1alpha1.NetworkSpec{Egress: []v1alpha1.EgressPeer{{KubernetesAPI: new(true)}}},
			Images:  &v1alpha1.ImagesSpec{MaxAge: "2160h"},
			MFA:     &v1alpha1.MFASpec{MaxAge: "12h"},
			Training: &v1alpha1.TrainingSpec{
				Courses: []v1alpha1.Course{course}, Subjects: []v1alpha1.TrainingSubject{{Issuer: loginIssuer, Subject: "anna"}},
			},
		},
	}
}

// emergency is a use of break glass that nobody has acknowledged.
func emergency(w *reliability.World) *v1alpha1.BreakGlassUse {
	use, at := broken("night", "night-1", false), metav1.NewTime(w.Clock.Now())
	use.Namespace, use.Spec.First, use.Spec.Last, use.Spec.Count = w.Namespace, at, at, 1
	return use
}

func otherRules(ctx context.Context, w *reliability.World) error {
	use := &v1alpha1.BreakGlassUse{}
	if err := w.Admin.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: "night"}, use); err != nil {
		return err
	}
	use.Spec.Acknowledgement = &v1alpha1.BreakGlassAcknowledgement{By: "anna", Reason: "the LIS was down"}
	return errors.Join(
		w.Admin.Update(ctx, use),
		change(ctx, w, func(lis *v1alpha1.LabWorkload) {
			transit := lis.Spec.Encryption.InTransit
			transit.Ports = append(transit.Ports[:1:1], v1alpha1.TransitPort{Name: "metrics", Port: 9090})
		}),
		w.Admin.Delete(ctx, &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: desired.ChildName("lis")}}),
	)
}

func backToAudit(ctx context.Context, w *reliability.World) error {
	return change(ctx, w, func(lis *v1alpha1.LabWorkload) { lis.Spec.Enforcement = v1alpha1.EnforcementAudit })
}

func change(ctx context.Context, w *reliability.World, edit func(lis *v1alpha1.LabWorkload)) error {
	lis := &v1alpha1.LabWorkload{}
	if err := w.Admin.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: "lis"}, lis); err != nil {
		return err
	}
	edit(lis)
	return w.Admin.Update(ctx, lis)
}
