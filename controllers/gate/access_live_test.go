// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/access"
	"github.com/labguard/labguard/internal/desired/gate"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

// ward is a namespace that is guarded on a real API server, with labguard down: its webhooks listen nowhere.
type ward struct {
	tenancy.Space
	admin client.Client
}

// as is somebody with every right.
func as(name string, groups []string, extra map[string][]string) rest.ImpersonationConfig {
	return rest.ImpersonationConfig{UserName: name, Groups: append([]string{"system:masters", "system:authenticated"}, groups...), Extra: extra}
}

// login is what a login says.
var login = map[string][]string{v1alpha1.ClaimIssuer: {"https://idp.example"}, v1alpha1.ClaimMethods: {"mfa"}}

// newWard arranges something before the namespace is guarded: then even an administrator needs labguard to give somebody a right there.
func newWard(t *testing.T, before ...func(tenancy.Space)) ward {
	t.Helper()
	w := ward{Space: tenancy.New(t)}
	for _, arrange := range before {
		arrange(w.Space)
	}
	w.admin = w.client(rest.ImpersonationConfig{})
	w.Must(w.admin.Create(t.Context(), lab(w.Namespace)))
	keeper := &Reconciler{Client: w.admin, Live: w.admin, Clock: clock.RealClock{}, Access: access.Config{
		Machines: []access.Machine{{Namespace: "gitops", Name: "argo"}},
	}}
	live, err := gatherFrom(t.Context(), w.admin)
	w.Must(err)
	w.Afterwards(func(ctx context.Context) error { return w.admin.Delete(ctx, lab(w.Namespace)) })
	w.Afterwards(func(ctx context.Context) error {
		return takeDown(ctx, w.admin, func(name string) bool { return access.IsNumbered(name) || name == access.BreakGlassName })
	})
	base := gate.Config{LabguardUser: "labguard", Endpoint: gate.Endpoint{URL: "https://localhost:9"}}
	_, err = keeper.keepAccess(t.Context(), live, base)
	w.Must(err)
	// A second look writes nothing: what the API server fills in is part of the intent.
	live, err = gatherFrom(t.Context(), w.admin)
	w.Must(err)
	_, err = keeper.keepAccess(t.Context(), live, base)
	w.Must(err)
	again, err := gatherFrom(t.Context(), w.admin)
	w.Must(err)
	if diff := cmp.Diff(versions(live), versions(again)); diff != "" {
		t.Errorf("it writes what does not differ:\n%s", diff)
	}
	return w
}

// versions are those of the objects: of a policy the one of its spec, as Kubernetes writes into its status what it thinks of the expressions.
func versions(live *objects) map[string]string {
	found := map[string]string{}
	for _, object := range append(live.webhooks(), live.policies()...) {
		version := object.GetResourceVersion()
		if _, isPolicy := object.(*admissionv1.ValidatingAdmissionPolicy); isPolicy {
			version = strconv.FormatInt(object.GetGeneration(), 10)
		}
		found[fmt.Sprintf("%T %s", object, object.GetName())] = version
	}
	return found
}

func (w ward) client(who rest.ImpersonationConfig) client.Client {
	w.Helper()
	scheme := runtime.NewScheme()
	w.Must(errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)))
	config := tenancy.Access("")
	config.Impersonate = who
	found, err := client.New(config, client.Options{Scheme: scheme})
	w.Must(err)
	return found
}

// enter tries to get into a pod that is not there: who is let in is told so.
func (w ward) enter(ctx context.Context, who rest.ImpersonationConfig, subresource string) error {
	w.Helper()
	config := tenancy.Access("")
	config.Impersonate = who
	typed, err := kubernetes.NewForConfig(config)
	w.Must(err)
	call := typed.CoreV1().RESTClient().Post()
	if subresource == "proxy" {
		call = typed.CoreV1().RESTClient().Get()
	}
	call = call.Namespace(w.Namespace).Resource("pods").Name("lis-0").SubResource(subresource)
	if subresource == "exec" {
		call = call.Param("command", "true").Param("stdout", "true")
	}
	return call.Do(ctx).Error()
}

// answers of the API server to somebody who wants to get in.
const (
	byThePolicy = "labguard guards the pods of this namespace"
	forAnAnswer = "failed calling webhook"
	letIn       = "not found"
)

func TestWaysIntoAPodWhileLabguardIsDown(t *testing.T) {
	w := newWard(t)
	nobody := as("anna", nil, nil)
	w.Eventually("the policy and the webhook are in effect", func(ctx context.Context) (bool, error) {
		one, other := w.enter(ctx, nobody, "exec"), w.enter(ctx, as("anna", nil, login), "exec")
		return one != nil && other != nil && strings.Contains(one.Error(), byThePolicy) && strings.Contains(other.Error(), forAnAnswer), nil
	})
	accounts := func(namespace string) []string {
		return []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace}
	}
	for name, c := range map[string]struct {
		who  rest.ImpersonationConfig
		want string
	}{
		"an administrator by client certificate":  {nobody, byThePolicy},
		"an administrator called system:admin":    {as("system:admin", nil, nil), byThePolicy},
		"a ServiceAccount":                        {as("system:serviceaccount:gitops:other", accounts("gitops"), nil), byThePolicy},
		"a login that says nothing":               {as("anna", nil, map[string][]string{v1alpha1.ClaimMethods: {""}}), byThePolicy},
		"a login has to wait for the decision":    {as("anna", nil, login), forAnAnswer},
		"so has a listed machine":                 {as("system:serviceaccount:gitops:argo", accounts("gitops"), nil), forAnAnswer},
		"the emergency does not":                  {as("sealed", []string{v1alpha1.BreakGlassGroup}, nil), letIn},
		"nor does an account of kube-system":      {as("system:serviceaccount:kube-system:x", accounts("kube-system"), nil), letIn},
		"who only calls themselves so is refused": {as("system:serviceaccount:kube-system:x", nil, login), forAnAnswer},
	} {
		for _, way := range []string{"exec", "attach", "portforward", "proxy"} {
			t.Run(name+" by "+way, func(t *testing.T) {
				if err := w.enter(t.Context(), c.who, way); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v; want %s", err, c.want)
				}
			})
		}
	}
}

func TestChangesWhileLabguardIsDown(t *testing.T) {
	w := newWard(t)
	service := func() *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, GenerateName: "s-"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
	}
	person := w.client(as("anna", nil, login))
	w.Eventually("the webhook is in effect", func(ctx context.Context) (bool, error) {
		err := person.Create(ctx, service(), client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), forAnAnswer), nil
	})
	accounts := []string{"system:serviceaccounts", "system:serviceaccounts:gitops", "system:serviceaccounts:kube-system"}
	for name, c := range map[string]struct {
		who   rest.ImpersonationConfig
		waits bool
	}{
		"a person":                        {as("anna", nil, login), true},
		"a ServiceAccount":                {as("system:serviceaccount:gitops:other", accounts, nil), true},
		"a listed machine":                {as("system:serviceaccount:gitops:argo", accounts, nil), false},
		"labguard":                        {as("labguard", nil, nil), false},
		"the emergency":                   {as("sealed", []string{v1alpha1.BreakGlassGroup}, nil), false},
		"a controller":                    {as("system:serviceaccount:kube-system:x", accounts, nil), false},
		"a person under a machine's name": {as("system:serviceaccount:gitops:argo", accounts, login), true},
	} {
		t.Run(name, func(t *testing.T) {
			user := w.client(c.who)
			err := user.Create(t.Context(), service())
			if waits := err != nil && strings.Contains(err.Error(), forAnAnswer); waits != c.waits || err != nil && !waits {
				t.Errorf("%v", err)
			}
			// What is written outside of the namespace waits for nobody.
			elsewhere := service()
			elsewhere.Namespace = metav1.NamespaceDefault
			if err := user.Create(t.Context(), elsewhere, client.DryRunAll); err != nil {
				t.Errorf("in another namespace: %v", err)
			}
		})
	}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "lis"}, Spec: appsv1.DeploymentSpec{
		Replicas: new(int32), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "lis"}}, Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "lis", Image: "registry.example/lis:1"}},
		}},
	}}
	w.Must(w.client(as("system:serviceaccount:gitops:argo", accounts, nil)).Create(t.Context(), deployment))
	w.Passes(person.SubResource("scale").Patch(t.Context(), deployment, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":0}}`)), client.DryRunAll))
}

func TestRecordsOfBreakGlassOnTheAPIServer(t *testing.T) {
	w := newWard(t, func(s tenancy.Space) {
		s.Allow("carla", v1alpha1.GroupVersion.Group, "breakglassuses", "get", "update", "patch")
	})
	use := &v1alpha1.BreakGlassUse{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "sealed-1"}, Spec: v1alpha1.BreakGlassUseSpec{
		User: "sealed", First: metav1.NewTime(instant), Last: metav1.NewTime(instant), Count: 1,
	}}
	w.Eventually("the policy is in effect", func(ctx context.Context) (bool, error) {
		err := w.client(as("sealed", []string{v1alpha1.BreakGlassGroup}, nil)).Create(ctx, use.DeepCopy(), client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "labguard alone records"), nil
	})
	labguard := w.client(as("labguard", nil, nil))
	w.Must(labguard.Create(t.Context(), use))
	acknowledge := func(by string) client.Patch {
		return client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"acknowledgement":{"by":%q,"reason":"the analyzer was stuck"}}}`, by))
	}
	// The webhook would decide about the login, and listens nowhere: the policy comes before it.
	for name, c := range map[string]struct {
		who  rest.ImpersonationConfig
		by   string
		want string
	}{
		"in the name of somebody else": {as("anna", nil, login), "berta", "acknowledgement.by has to be"},
		"without a login":              {as("anna", nil, nil), "anna", "a person acknowledges"},
		"by the one who used it":       {as("sealed", nil, login), "sealed", "have it done by somebody else"},
		"without the right":            {rest.ImpersonationConfig{UserName: "carla", Extra: login}, "carla", "needs the verb acknowledge"},
		"as it should be":              {as("anna", nil, login), "anna", forAnAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			if err := w.client(c.who).Patch(t.Context(), use.DeepCopy(), acknowledge(c.by)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %s", err, c.want)
			}
		})
	}
	if err := w.admin.Delete(t.Context(), use.DeepCopy()); err == nil || !strings.Contains(err.Error(), "labguard alone records") {
		t.Errorf("an administrator deletes a record: %v", err)
	}
	w.Passes(labguard.Delete(t.Context(), use))
}

// Kubernetes says in the status of a policy what it thinks of the types in its expressions.
func TestTheAPIServerHasNothingToSayAboutThePolicies(t *testing.T) {
	w := newWard(t)
	for _, name := range []string{access.Name, access.BreakGlassName} {
		var guard admissionv1.ValidatingAdmissionPolicy
		w.Eventually("Kubernetes looks at "+name, func(ctx context.Context) (bool, error) {
			err := w.admin.Get(ctx, client.ObjectKey{Name: name}, &guard)
			return err == nil && guard.Status.ObservedGeneration == guard.Generation && guard.Status.TypeChecking != nil, err
		})
		for _, warning := range guard.Status.TypeChecking.ExpressionWarnings {
			t.Errorf("%s: %s: %s", name, warning.FieldRef, warning.Warning)
		}
	}
}
