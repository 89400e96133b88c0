// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people_test

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	webhook "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/admission/people"
	desired "github.com/labguard/labguard/internal/desired/access"
	"github.com/labguard/labguard/internal/posture/access"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(cluster.Main(m, cluster.WithCRDs("../../config/crd/bases")))
}

const (
	course   = "phishing-basics"
	machines = "machines-of-this-test"
	// masters may do everything, so that nothing is refused but by admission.
	masters = "system:masters"
	// breakGlass is the group that the webhooks know.
	breakGlass = "labguard:break-glass"
)

// lab is one namespace with a LabWorkload that enforces, an issuer, and a gate over a real cache.
type lab struct {
	tenancy.Space
	issuer string
	admin  client.Client
	server *httptest.Server

	lock sync.Mutex
	// broken makes the gate's reads fail, and uses are what it has told of break glass.
	broken error
	uses   []string
	proofs int
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{Space: tenancy.New(t)}
	l.issuer = "https://" + l.Namespace + ".idp.example"
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		l.Must(add(scheme))
	}
	var err error
	l.admin, err = client.New(cluster.Config(), client.Options{Scheme: scheme})
	l.Must(err)
	l.create(&v1alpha1.IdentityProvider{ObjectMeta: metav1.ObjectMeta{Name: l.Namespace}, Spec: v1alpha1.IdentityProviderSpec{
		Issuer: l.issuer, Proves: []v1alpha1.ProvenClaim{v1alpha1.ProvesMethods, v1alpha1.ProvesAuthTime},
	}})
	l.create(&v1alpha1.TrainingRecord{ObjectMeta: metav1.ObjectMeta{Name: "mia." + l.Namespace}, Spec: v1alpha1.TrainingRecordSpec{
		Issuer: l.issuer, Subject: "mia", Course: course, Completed: metav1.NewTime(time.Now().Add(-time.Hour)),
	}})
	l.create(&v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "lis"}, Spec: v1alpha1.LabWorkloadSpec{
		Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}}, Enforcement: v1alpha1.EnforcementEnforce,
		MFA: &v1alpha1.MFASpec{MaxAge: "12h"}, Training: &v1alpha1.TrainingSpec{Courses: []v1alpha1.Course{course}},
	}})
	for _, app := range []string{"lis", "other"} {
		l.create(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: app + "-0", Labels: map[string]string{"app": app}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.lab.example/app:1"}}},
		})
	}
	l.create(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "lis"}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": "lis"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
	}})
	l.serve(scheme)
	return l
}

func (l *lab) create(object client.Object) {
	l.Helper()
	l.Must(l.admin.Create(l.Context(), object))
	if object.GetNamespace() == "" {
		l.Afterwards(func(ctx context.Context) error { return l.admin.Delete(ctx, object) })
	}
}

// serve serves both handlers as a manager does, over informers of this API server.
func (l *lab) serve(scheme *runtime.Scheme) {
	l.Helper()
	filled, err := cache.New(cluster.Config(), cache.Options{Scheme: scheme})
	l.Must(err)
	gate := people.New(l.reader(filled), clock.RealClock{}, people.Config{
		User: tenancy.Labguard, Proofs: l, Uses: l, Machines: []access.Machine{{Namespace: machines, Name: "gitops"}},
	})
	l.Must(gate.Watch(l.Context(), filled))
	_, err = filled.GetInformer(l.Context(), &corev1.Pod{})
	l.Must(err)
	ctx := l.Context()
	go func() { _ = filled.Start(ctx) }()
	if !filled.WaitForCacheSync(ctx) {
		l.Fatal("the cache was never filled")
	}
	mux := http.NewServeMux()
	for path, handler := range map[string]webhook.Handler{desired.ValidatePath: gate.Validating(), desired.ObservePath: gate.BreakGlass()} {
		mux.Handle(path, people.Hook(&webhook.Webhook{Handler: handler, LogConstructor: func(logr.Logger, *webhook.Request) logr.Logger { return logr.Discard() }}))
	}
	l.server = httptest.NewTLSServer(mux)
	l.Cleanup(l.server.Close)
}

// reader fails while the lab says so.
func (l *lab) reader(under client.Reader) client.Reader { return &failing{under, l} }

type failing struct {
	client.Reader
	lab *lab
}

func (f *failing) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	if err := f.broken(); err != nil {
		return err
	}
	return f.Reader.List(ctx, list, options...)
}

func (f *failing) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if err := f.broken(); err != nil {
		return err
	}
	return f.Reader.Get(ctx, key, object, options...)
}

func (f *failing) broken() error {
	f.lab.lock.Lock()
	defer f.lab.lock.Unlock()
	return f.lab.broken
}

// fail lets the gate know nothing: its reads fail, and what it has kept is dropped by a change.
func (l *lab) fail() {
	l.Helper()
	l.lock.Lock()
	l.broken = errors.New("no cache works")
	l.lock.Unlock()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"mfa":{"maxAge":"11h"}}}`))
	l.Must(l.admin.Patch(l.Context(), &v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "lis"}}, patch))
}

// Used implements people.Uses.
func (l *lab) Used(namespace, user string, request v1alpha1.BreakGlassRequest) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.uses = append(l.uses, strings.Join([]string{namespace, user, request.Operation, request.Resource, request.Name}, " "))
}

// Seen implements people.Proofs.
func (l *lab) Seen(issuer string, _ int64, _ time.Time) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if issuer == l.issuer {
		l.proofs++
	}
}

func (l *lab) used() []string {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.uses
}

// install has the API server ask, with a failure policy for those who are not in the group of the emergency.
func (l *lab) install(policy admissionv1.FailurePolicyType) {
	l.Helper()
	member := "'" + breakGlass + "' in request.userInfo.groups"
	l.create(&admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "people." + l.Namespace},
		Webhooks: []admissionv1.ValidatingWebhook{
			l.webhook("access", desired.ValidatePath, policy, "!("+member+")"), l.webhook("break-glass", desired.ObservePath, admissionv1.Ignore, member),
		},
	})
	l.Eventually("the API server asks", func(context.Context) (bool, error) {
		_ = l.exec(l.mia(), "other-0") // it fails in any case, as the pod does not run
		return l.seen() > 0, nil
	})
}

func (l *lab) seen() int {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.proofs
}

func (l *lab) webhook(name, path string, policy admissionv1.FailurePolicyType, condition string) admissionv1.ValidatingWebhook {
	effects, url := admissionv1.SideEffectClassNoneOnDryRun, l.server.URL+path
	core := func(operation admissionv1.OperationType, resources ...string) admissionv1.RuleWithOperations {
		return admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{operation}, Rule: admissionv1.Rule{
			APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: resources,
		}}
	}
	return admissionv1.ValidatingWebhook{
		Name: name + ".people.labguard.dev", FailurePolicy: &policy, SideEffects: &effects, AdmissionReviewVersions: []string{"v1"},
		ClientConfig: admissionv1.WebhookClientConfig{URL: &url, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.server.Certificate().Raw})},
		Rules: []admissionv1.RuleWithOperations{
			core(admissionv1.Connect, "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy"), core(admissionv1.Update, "pods/ephemeralcontainers"),
			core(admissionv1.Create, "pods"), core(admissionv1.Delete, "pods", "services"),
		},
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: l.Namespace}},
		MatchConditions:   []admissionv1.MatchCondition{{Name: "who", Expression: condition}},
	}
}

// who is a user as the API server would know one.
type who = rest.ImpersonationConfig

// mia has logged in with a second factor, and is trained.
func (l *lab) mia() who {
	return who{UserName: "oidc:mia", Groups: []string{masters}, Extra: map[string][]string{
		"labguard.dev/issuer": {l.issuer}, "labguard.dev/subject": {"mia"}, "labguard.dev/amr": {"pwd", "mfa"},
		"labguard.dev/auth-time": {strconv.FormatInt(time.Now().Unix(), 10)},
	}}
}

func (l *lab) with(key string, values ...string) who {
	user := l.mia()
	user.Extra["labguard.dev/"+key] = values
	return user
}

func (l *lab) as(user who) *kubernetes.Clientset {
	l.Helper()
	config := tenancy.Access("")
	config.Impersonate = user
	typed, err := kubernetes.NewForConfig(config)
	l.Must(err)
	return typed
}

// exec tries to run a command. No pod here runs, so that it fails in any case.
func (l *lab) exec(user who, pod string) error {
	l.Helper()
	return l.as(user).CoreV1().RESTClient().Post().Resource("pods").Namespace(l.Namespace).Name(pod).SubResource("exec").Param("command", "id").Do(l.Context()).Error()
}
