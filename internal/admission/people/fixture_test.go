// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	toolscache "k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	webhook "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/admission/people"
	"github.com/labguard/labguard/internal/posture/access"
)

const (
	lab      = "pathology"
	idp      = "https://idp.example"
	entra    = "https://entra.example"
	phishing = "phishing-basics"
	labguard = "system:serviceaccount:labguard-system:labguard"
	// emergency is the group of break glass where the configuration names none.
	emergency = "labguard:break-glass"
)

var now = time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)

// site is a gate over a cluster, with everything that a test changes.
type site struct {
	gate      *people.Gate
	clock     *clocktesting.FakePassiveClock
	client    client.WithWatch
	informers *informers
	seen      *seen
	// lists counts the lists that are read, by namespace, and reads the LabWorkloads that are read one by one; broken fails all reads.
	lock         sync.Mutex
	lists, reads map[string]int
	broken       error
	// meanwhile is called once, after a list was read and before it is given.
	meanwhile func()
}

// seen is what the recorders were told.
type seen struct {
	lock   sync.Mutex
	proofs []string
	uses   []use
}

type use struct {
	namespace, user string
	request         v1alpha1.BreakGlassRequest
}

func (s *seen) Seen(issuer string, generation int64, at time.Time) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.proofs = append(s.proofs, fmt.Sprintf("%s %d %s", issuer, generation, at.Format(time.TimeOnly)))
}

func (s *seen) Used(namespace, user string, request v1alpha1.BreakGlassRequest) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.uses = append(s.uses, use{namespace, user, request})
}

func newScheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// newSite is a cluster with objects, whose records were all seen.
func newSite(t testing.TB, objects ...client.Object) *site {
	t.Helper()
	scheme := newScheme(t)
	s := &site{
		clock: clocktesting.NewFakePassiveClock(now), informers: &informers{&informertest.FakeInformers{Scheme: scheme}, map[string][]toolscache.ResourceEventHandler{}}, seen: &seen{}, lists: map[string]int{}, reads: map[string]int{},
		client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build(),
	}
	s.gate = people.New(interceptor.NewClient(s.client, interceptor.Funcs{List: s.list, Get: s.get}), s.clock, people.Config{
		User: labguard, Proofs: s.seen, Uses: s.seen,
		Machines: []access.Machine{{Namespace: "flux-system", Name: "kustomize"}, {User: "deployer"}, {User: "runner", Issuer: "https://ci.example"}},
	})
	if err := s.gate.Watch(t.Context(), s.informers); err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		s.tell(object)
	}
	return s
}

// informers keep the handlers, so that a test can be the informer.
type informers struct {
	*informertest.FakeInformers
	handlers map[string][]toolscache.ResourceEventHandler
}

type informer struct {
	cache.Informer
	add func(toolscache.ResourceEventHandler)
}

func (i *informers) GetInformer(ctx context.Context, object client.Object, options ...cache.InformerGetOption) (cache.Informer, error) {
	under, err := i.FakeInformers.GetInformer(ctx, object, options...)
	return &informer{under, func(handler toolscache.ResourceEventHandler) {
		kind := fmt.Sprintf("%T", object)
		i.handlers[kind] = append(i.handlers[kind], handler)
	}}, err
}

func (i *informer) AddEventHandler(handler toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
	i.add(handler)
	return i.Informer.AddEventHandler(handler)
}

func (i *informers) of(object any) []toolscache.ResourceEventHandler {
	return i.handlers[fmt.Sprintf("%T", object)]
}

// tell says that an object has come or changed, gone that one was deleted, and missed that one was of which only the key is known.
func (i *informers) tell(object client.Object) {
	for _, handler := range i.of(object) {
		handler.OnAdd(object, false)
	}
}

func (s *site) tell(object client.Object) { s.informers.tell(object) }

func (s *site) gone(object client.Object) {
	for _, handler := range s.informers.of(object) {
		handler.OnDelete(object)
	}
}

func (s *site) missed(kind client.Object, key string) {
	for _, handler := range s.informers.of(kind) {
		handler.OnDelete(toolscache.DeletedFinalStateUnknown{Key: key})
	}
}

// put writes an object and lets its informer say so, as an update of what was there.
func (s *site) put(t testing.TB, object client.Object) {
	t.Helper()
	old, _ := object.DeepCopyObject().(client.Object)
	if err := s.client.Get(t.Context(), client.ObjectKeyFromObject(object), old); err != nil {
		t.Fatal(err)
	}
	object.SetResourceVersion(old.GetResourceVersion())
	if err := s.client.Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	for _, handler := range s.informers.of(object) {
		handler.OnUpdate(old, object)
	}
}

func (s *site) list(ctx context.Context, under client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
	var read client.ListOptions
	read.ApplyOptions(options)
	s.lock.Lock()
	s.lists[read.Namespace]++
	broken, meanwhile := s.broken, s.meanwhile
	s.meanwhile = nil
	s.lock.Unlock()
	if broken != nil {
		return broken
	}
	err := under.List(ctx, list, options...)
	if meanwhile != nil {
		meanwhile()
	}
	return err
}

func (s *site) get(ctx context.Context, under client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if _, workload := object.(*v1alpha1.LabWorkload); !workload {
		return under.Get(ctx, key, object, options...)
	}
	s.lock.Lock()
	s.reads[key.Namespace]++
	broken := s.broken
	s.lock.Unlock()
	if broken != nil {
		return broken
	}
	return under.Get(ctx, key, object, options...)
}

// counted is how often all of a namespace was read, and how often one of its LabWorkloads.
func (s *site) counted(namespace string) (all, one int) {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.lists[namespace], s.reads[namespace]
}

func (s *site) ask(t testing.TB, request webhook.Request) webhook.Response {
	t.Helper()
	response := s.gate.Validating().Handle(t.Context(), request)
	if err := response.Complete(request); err != nil {
		t.Fatal(err)
	}
	return response
}

// workload asks for a login of the last 12 hours and a course of whoever reaches app=lis, and enforces both.
func workload(change ...func(*v1alpha1.LabWorkload)) *v1alpha1.LabWorkload {
	object := &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: lab, Name: "lis", Generation: 1, UID: "1"},
		Spec: v1alpha1.LabWorkloadSpec{
			Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}}, Enforcement: v1alpha1.EnforcementEnforce,
			MFA: &v1alpha1.MFASpec{MaxAge: "12h"}, Training: &v1alpha1.TrainingSpec{Courses: []v1alpha1.Course{phishing}},
		},
	}
	for _, each := range change {
		each(object)
	}
	return object
}

// identityProvider proves everything.
func identityProvider(change ...func(*v1alpha1.IdentityProvider)) *v1alpha1.IdentityProvider {
	object := &v1alpha1.IdentityProvider{
		ObjectMeta: metav1.ObjectMeta{Name: "idp", Generation: 1, UID: "2"},
		Spec: v1alpha1.IdentityProviderSpec{
			Issuer: idp, Proves: []v1alpha1.ProvenClaim{v1alpha1.ProvesMethods, v1alpha1.ProvesContext, v1alpha1.ProvesAuthTime},
		},
	}
	for _, each := range change {
		each(object)
	}
	return object
}

// entraProvider has keys of its own, and proves no methods.
func entraProvider() *v1alpha1.IdentityProvider {
	return identityProvider(func(p *v1alpha1.IdentityProvider) {
		p.Name, p.Spec.Issuer, p.Spec.ClaimKeys.Subject = "entra", entra, "entra.example/oid"
		p.Spec.Proves, p.Spec.Contexts = []v1alpha1.ProvenClaim{v1alpha1.ProvesContext, v1alpha1.ProvesAuthTime}, []v1alpha1.AuthenticationContext{"c1"}
	})
}

func trainingRecord(name, subject string, completed time.Time) *v1alpha1.TrainingRecord {
	return &v1alpha1.TrainingRecord{
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1},
		Spec:       v1alpha1.TrainingRecordSpec{Issuer: idp, Subject: subject, Course: phishing, Completed: metav1.NewTime(completed)},
	}
}

func pod(name, app string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: lab, Name: name, Labels: map[string]string{"app": app}}}
}

// laboratory is what most tests have: mia is trained, eve is not.
func laboratory(change ...func(*v1alpha1.LabWorkload)) []client.Object {
	return []client.Object{
		workload(change...), identityProvider(), entraProvider(), pod("lis-0", "lis"), pod("other-0", "other"),
		trainingRecord("mia", "mia", now.Add(-time.Hour)),
	}
}

type user = authenticationv1.UserInfo

// mia has logged in with a second factor an hour ago.
func mia(change ...func(*user)) user {
	who := user{Username: "oidc:mia", Groups: []string{"system:authenticated", "lab"}, Extra: map[string]authenticationv1.ExtraValue{
		"labguard.dev/issuer": {idp}, "labguard.dev/subject": {"mia"}, "labguard.dev/amr": {"pwd", "otp", "mfa"}, "labguard.dev/acr": {"aal2"},
		"labguard.dev/auth-time": {seconds(now.Add(-time.Hour))},
	}}
	for _, each := range change {
		each(&who)
	}
	return who
}

func seconds(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

func claim(key string, values ...string) func(*user) {
	if !strings.Contains(key, "/") {
		key = "labguard.dev/" + key
	}
	return func(u *user) {
		if values == nil {
			delete(u.Extra, key)
			return
		}
		u.Extra[key] = values
	}
}

func member(group string) func(*user) { return func(u *user) { u.Groups = append(u.Groups, group) } }

func certificate(name string, groups ...string) user {
	return user{Username: name, Groups: append(groups, "system:authenticated")}
}

func serviceAccount(namespace, name string) user {
	return certificate("system:serviceaccount:"+namespace+":"+name, "system:serviceaccounts", "system:serviceaccounts:"+namespace)
}

// request is one of a user: CONNECT pods/exec lis-0, say.
func request(who user, operation admissionv1.Operation, resource, name string) webhook.Request {
	resource, subresource, _ := strings.Cut(resource, "/")
	return webhook.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: "1", Operation: operation, Resource: metav1.GroupVersionResource{Group: groupOf(resource), Version: "v1", Resource: resource}, SubResource: subresource,
		Namespace: lab, Name: name, UserInfo: who,
	}}
}

func groupOf(resource string) string {
	switch resource {
	case "deployments", "statefulsets", "daemonsets":
		return "apps"
	case "networkpolicies":
		return "networking.k8s.io"
	case "roles", "rolebindings":
		return "rbac.authorization.k8s.io"
	case "labworkloads", "breakglassuses", "trainingrecords", "identityproviders":
		return "labguard.dev"
	default:
		return ""
	}
}

func exec(who user) webhook.Request { return request(who, admissionv1.Connect, "pods/exec", "lis-0") }

func dry(request webhook.Request) webhook.Request {
	request.DryRun = new(true)
	return request
}
