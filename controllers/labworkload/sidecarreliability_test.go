// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"sync"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/removal"
	"github.com/labguard/labguard/controllers/served"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/reliability"
)

func TestTheSidecarSurvivesWhateverGoesWrong(t *testing.T) {
	l := &sidecarLab{T: t}
	worlds := &sidecarWorlds{all: map[*reliability.World]*sidecarWorld{}}
	reliability.Run(t, connect(t), theSidecar(l.sidecarWorkload("lis", v1alpha1.TransitPort{
		Name: "mllp", Port: 2575, AllowFrom: []v1alpha1.IngressPeer{{LabWorkload: &v1alpha1.LabWorkloadReference{Name: "lis"}}},
	}), worlds))
}

// theSidecar is a LIS whose pods send to each other: it gets the sidecar, is watched for a day, goes to Strict, and is deleted while a pod has the sidecar. The
// LabWorkload is deleted at any moment of the way to Strict too.
func theSidecar(lis *v1alpha1.LabWorkload, worlds *sidecarWorlds) reliability.Scenario {
	return reliability.Scenario{
		Name: "the sidecar",
		Pods: true,
		Arrange: func(ctx context.Context, w *reliability.World) error {
			service := &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "lis"},
				Spec:       corev1.ServiceSpec{Selector: app, Ports: []corev1.ServicePort{{Port: 6661, TargetPort: intstr.FromInt32(2575)}}},
			}
			workload := lis.DeepCopy()
			workload.Namespace = w.Namespace
			return errors.Join(w.Admin.Create(ctx, service), w.Admin.Create(ctx, workload))
		},
		Disturb: []reliability.Step{
			{Name: "a pod starts with the sidecar", Do: startWithSidecar},
			{Name: "a day goes by", Do: func(_ context.Context, w *reliability.World) error {
				w.Clock.Step(day + time.Second)
				return nil
			}},
			{Name: "the LabWorkload is deleted", Anytime: true, Do: func(ctx context.Context, w *reliability.World) error {
				return w.Admin.Delete(ctx, &v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "lis"}})
			}},
			{Name: "the last pod goes", Do: func(ctx context.Context, w *reliability.World) error {
				return w.Admin.Delete(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "lis-0"}}, client.GracePeriodSeconds(0))
			}},
		},
		New: func(w *reliability.World, c client.Client) []reliability.Controller {
			c = onlyTheSidecar{c, w}
			workloads := &Reconciler{
				Client: c, Live: c, Facts: dated{}, Served: served.ByMapper{Mapper: c.RESTMapper()}, Clock: w.Clock, Random: func() float64 { return 0 }, Recorder: noEvents{},
				Issuers:  []Issuer{{Kind: v1alpha1.IssuerKindIssuer, Namespace: w.Namespace, Name: "lab-ca"}},
				Platform: Platform{TrustDomain: "lab.example", ClusterDomain: "cluster.local", DNSNamespace: w.Namespace, DNSService: "dns"},
				Sidecars: Sidecars{Image: "registry.example/airlock@" + digest("aa"), Labguard: desired.Operator{Namespace: "labguard-system", Labels: map[string]string{"a": "b"}}},
				Airlocks: worlds.of(w).restarted(w),
			}
			removals := &removal.Reconciler{Client: c, Live: c, Clock: w.Clock, Random: func() float64 { return 0 }}
			return []reliability.Controller{
				{Name: "labworkload", Reconcile: workloads.Reconcile, Requests: reliability.Each(&v1alpha1.LabWorkloadList{})},
				{Name: "removal", Reconcile: removals.Reconcile, Requests: reliability.Each(&v1alpha1.AirlockProfileList{})},
			}
		},
		Snapshot: reliability.Kinds(
			&v1alpha1.LabWorkloadList{}, &v1alpha1.AirlockProfileList{}, &networkingv1.NetworkPolicyList{}, &certmanagerv1.CertificateList{},
			&corev1.ConfigMapList{}, &corev1.ServiceList{}, &corev1.PodList{},
		),
		Normalize:   withoutAddresses,
		FieldOwners: []string{v1alpha1.FieldManager},
		Soon:        3 * time.Minute, // how long the profile stays that nobody needs, which is longer than labguard waits for a kind that is not served
		Looks:       lookAgainAfter,
		Elsewhere:   inTheLaboratory,
		Await: func(ctx context.Context, w *reliability.World) (bool, error) {
			return worlds.of(w).othersAreDone(ctx, w)
		},
		Always: func(ctx context.Context, w *reliability.World) error { return worlds.of(w).nothingIsLost(ctx, w) },
	}
}

// inTheLaboratory are the reads that come before anything is decided whether there is a sidecar or not: those of this reconciler are tried in the laboratory,
// and those of the removal beside it.
func inTheLaboratory(verb reliability.Verb, kind string) bool {
	switch kind {
	case "LabWorkload", "NetworkPolicy", "Pod", "Service":
		return verb == reliability.VerbGet || verb == reliability.VerbList
	default:
		return false
	}
}

// startWithSidecar starts a pod as the injection policy would make it.
func startWithSidecar(ctx context.Context, w *reliability.World) error {
	profile := &v1alpha1.AirlockProfile{}
	if err := w.Admin.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: desired.ChildName("lis")}, profile); err != nil {
		return err
	}
	if profile.Spec.Selector == nil {
		return errors.New("the profile selects no pod")
	}
	started := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "lis-0", Labels: map[string]string{
			"app": "lis", v1alpha1.WorkloadLabel: profile.Spec.Workload, v1alpha1.AirlockLabel: profile.Spec.Current.Hash,
		}},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: config.ContainerName, Image: profile.Spec.Current.Image}},
			Containers:     []corev1.Container{{Name: "app", Image: "registry.example/app"}},
			// Nobody schedules it, nor says that nobody can.
			SchedulerName: "none",
		},
	}
	if err := w.Admin.Create(ctx, started); err != nil {
		return err
	}
	before := started.DeepCopy()
	started.Status.Phase, started.Status.PodIP, started.Status.PodIPs = corev1.PodRunning, "10.1.0.1", []corev1.PodIP{{IP: "10.1.0.1"}}
	return w.Admin.Status().Patch(ctx, started, client.MergeFrom(before))
}

// onlyTheSidecar is a client of a cluster in which every certificate is issued at once, and in which there is nothing besides what this scenario is about: what
// goes wrong with the other reads is tried in the laboratory.
type onlyTheSidecar struct {
	client.Client
	world *reliability.World
}

func (o onlyTheSidecar) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if namespace, is := object.(*corev1.Namespace); is {
		*namespace = o.namespace()
		return nil
	}
	err := o.Client.Get(ctx, key, object, options...)
	if certificate, is := object.(*certmanagerv1.Certificate); is && err == nil {
		certificate.Status = certmanagerv1.CertificateStatus{
			Conditions: []certmanagerv1.CertificateCondition{{
				Type: certmanagerv1.CertificateConditionReady, Status: cmmeta.ConditionTrue, ObservedGeneration: certificate.Generation,
			}},
			NotAfter: new(metav1.NewTime(farOff)), Revision: new(1),
		}
	}
	return err
}

func (o onlyTheSidecar) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	switch list := list.(type) {
	case *appsv1.DeploymentList:
		list.Items = []appsv1.Deployment{*deployment("lis", "registry.example/app")}
		return nil
	case *appsv1.StatefulSetList, *appsv1.DaemonSetList, *appsv1.ReplicaSetList, *corev1.ReplicationControllerList, *batchv1.JobList,
		*batchv1.CronJobList, *v1alpha1.RolloutRecordList, *networkingv1.IngressList, *discoveryv1.EndpointSliceList, *corev1.NodeList:
		return nil
	case *corev1.NamespaceList:
		list.Items = []corev1.Namespace{o.namespace()}
		return nil
	default:
		return o.Client.List(ctx, list, options...)
	}
}

func (o onlyTheSidecar) namespace() corev1.Namespace {
	return corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.world.Namespace, Labels: map[string]string{corev1.LabelMetadataName: o.world.Namespace}}}
}

// farOff is later than any trial lasts.
var farOff = time.Date(2200, time.January, 1, 0, 0, 0, 0, time.UTC)

// sidecarWorlds are those of all trials.
type sidecarWorlds struct {
	lock sync.Mutex
	all  map[*reliability.World]*sidecarWorld
}

func (w *sidecarWorlds) of(world *reliability.World) *sidecarWorld {
	w.lock.Lock()
	defer w.lock.Unlock()
	if w.all[world] == nil {
		w.all[world] = &sidecarWorld{}
	}
	return w.all[world]
}

// sidecarWorld is what is known of one trial: what the airlocks say to the process that runs, and what there was once.
type sidecarWorld struct {
	airlocks *asked
	news     bool

	selected, closed bool
	uids             map[string]types.UID
}

// restarted is a process that has asked no airlock yet if plaintext is closed: that takes back nothing of what is shown. Before, the answers are there when it
// looks for the first time: without them it says that an airlock is silent, and a process that is stopped after each write would say so again and again.
func (s *sidecarWorld) restarted(w *reliability.World) *announcing {
	if s.airlocks != nil && !s.closed {
		return &announcing{s.airlocks, s}
	}
	s.airlocks = &asked{targets: map[types.NamespacedName][]posture.AirlockTarget{}, say: func(target posture.AirlockTarget) posture.AirlockFacts {
		digest, err := mounted(context.Background(), w.Admin, w.Namespace, target)
		if err != nil {
			return posture.AirlockFacts{}
		}
		return fine(target, digest, w.Clock.Now(), farOff)
	}}
	return &announcing{s.airlocks, s}
}

// announcing wakes the reconciler when airlocks are asked something new, as their answers do.
type announcing struct {
	*asked
	world *sidecarWorld
}

func (a *announcing) Watch(workload types.NamespacedName, targets []posture.AirlockTarget) {
	a.world.news = a.world.news || !equality.Semantic.DeepEqual(a.targets[workload], targets)
	a.asked.Watch(workload, targets)
}

// othersAreDone says whether the airlocks were heard and the garbage collection is done.
func (s *sidecarWorld) othersAreDone(ctx context.Context, w *reliability.World) (bool, error) {
	if s.news {
		s.news = false
		return false, nil
	}
	if w.Phase < 3 {
		return true, nil
	}
	left, err := reliability.Kinds(&networkingv1.NetworkPolicyList{})(ctx, w)
	if err != nil || len(left) > 0 {
		return false, err
	}
	profile := &v1alpha1.AirlockProfile{}
	err = w.Admin.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: desired.ChildName("lis")}, profile)
	if !apierrors.IsNotFound(err) {
		return true, err
	}
	for name, object := range children() {
		err := w.Admin.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: name}, object)
		if !apierrors.IsNotFound(err) {
			return false, err
		}
	}
	return true, nil
}

// children are what the profile owns.
func children() map[string]client.Object {
	return map[string]client.Object{
		desired.ChildName("lis"): &corev1.ConfigMap{}, desired.IdentityName("lis"): &certmanagerv1.Certificate{}, desired.CompanionName("lis"): &corev1.Service{},
	}
}

var (
	hexadecimal = regexp.MustCompile(`\b([0-9a-f]{16}|[0-9a-f]{8})\b`)
	clusterIP   = regexp.MustCompile(`\b10\.\d+\.\d+\.\d+\b`)
	anInstant   = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
)

// withoutAddresses leaves out what Kubernetes and cert-manager say, and what is made of it: addresses, times, and hashes of names that hold a UID.
func withoutAddresses(object *unstructured.Unstructured) {
	switch object.GetKind() {
	case "Service":
		unstructured.RemoveNestedField(object.Object, "spec", "clusterIPs")
	case "Pod":
		delete(object.Object, "spec")
		if object.GetAnnotations()[v1alpha1.SyncAnnotation] != "" {
			object.SetAnnotations(map[string]string{v1alpha1.SyncAnnotation: "told"})
		}
	}
	if object.GetKind() != "LabWorkload" {
		delete(object.Object, "status")
	}
	encoded, err := json.Marshal(object.Object)
	if err != nil {
		panic(err)
	}
	encoded = anInstant.ReplaceAll(clusterIP.ReplaceAll(hexadecimal.ReplaceAll(encoded, []byte("<hash>")), []byte("<address>")), []byte("<time>"))
	object.Object = map[string]any{}
	if err := json.Unmarshal(encoded, &object.Object); err != nil {
		panic(err)
	}
}
