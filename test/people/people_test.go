// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// request is one way into a pod, or one change.
type request func(l *lab, user who, pod string) error

func through(verb, resource, subresource string, name func(pod string) string) request {
	return func(l *lab, user who, pod string) error {
		l.Helper()
		core := l.as(user).CoreV1().RESTClient()
		started := map[string]func() *rest.Request{"GET": core.Get, "POST": core.Post}[verb]()
		return started.Resource(resource).Namespace(l.Namespace).Name(name(pod)).SubResource(subresource).Param("command", "id").Do(l.Context()).Error()
	}
}

func plain(pod string) string { return pod }

var ways = map[string]request{
	"exec by POST":             through("POST", "pods", "exec", plain),
	"exec by GET":              through("GET", "pods", "exec", plain),
	"attach":                   through("POST", "pods", "attach", plain),
	"port-forward":             through("POST", "pods", "portforward", plain),
	"proxy of a pod":           through("GET", "pods", "proxy", plain),
	"proxy of a pod's port":    through("GET", "pods", "proxy", func(pod string) string { return "https:" + pod + ":8443" }),
	"a debug container, tried": debug,
}

func debug(l *lab, user who, pod string) error {
	l.Helper()
	pods := l.as(user).CoreV1().Pods(l.Namespace)
	object, err := pods.Get(l.Context(), pod, metav1.GetOptions{})
	l.Must(err)
	object.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "busybox"}}}
	_, err = pods.UpdateEphemeralContainers(l.Context(), pod, object, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// whole are requests about the whole namespace.
var whole = map[string]request{
	"proxy of a Service": through("GET", "services", "proxy", func(string) string { return "lis:http" }),
	"create a pod": func(l *lab, user who, _ string) error {
		_, err := l.as(user).CoreV1().Pods(l.Namespace).Create(l.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "new-"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "busybox"}}},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	},
	"delete a Service": func(l *lab, user who, _ string) error {
		return l.as(user).CoreV1().Services(l.Namespace).Delete(l.Context(), "lis", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
	},
	"delete all pods": func(l *lab, user who, _ string) error {
		return l.as(user).CoreV1().Pods(l.Namespace).DeleteCollection(l.Context(), metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}, metav1.ListOptions{})
	},
}

// refusedFor fails the test unless labguard has refused for a reason; empty: unless it has let through.
func refusedFor(l *lab, name, reason string, err error) {
	l.Helper()
	switch refused := apierrors.IsForbidden(err) || err != nil && strings.Contains(err.Error(), "people.labguard.dev"); {
	case reason == "" && refused:
		l.Errorf("%s: %v", name, err)
	case reason != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "is refused ("+reason+")")):
		l.Errorf("%s: %v, want %s", name, err, reason)
	}
}

func TestEveryWayInIsDecidedByTheLogin(t *testing.T) {
	l := newLab(t)
	l.install(admissionv1.Fail)
	for name, test := range map[string]struct {
		user   who
		reason string
	}{
		"mia":                   {l.mia(), ""},
		"a password alone":      {l.with("amr", "pwd"), "MethodsMissing"},
		"a login of long ago":   {l.with("auth-time", "1700000000"), "LoginTooOld"},
		"somebody untrained":    {l.with("subject", "eve"), "TrainingMissing"},
		"another issuer":        {l.with("issuer", "https://ci.example"), "IssuerUnknown"},
		"a certificate":         {who{UserName: "jane", Groups: []string{masters}}, "NoClaims"},
		"a machine":             {l.machine(l.Namespace, "default"), "UnlistedMachine"},
		"a listed machine":      {l.machine(machines, "gitops"), ""},
		"the garbage collector": {l.machine("kube-system", "generic-garbage-collector"), ""},
		"labguard":              {l.machine("labguard-system", "labguard"), ""},
	} {
		for what, ask := range ways {
			refusedFor(l, name+", "+what, test.reason, ask(l, test.user, "lis-0"))
		}
		for what, ask := range whole {
			refusedFor(l, name+", "+what, test.reason, ask(l, test.user, ""))
		}
	}
	for what, ask := range ways {
		refusedFor(l, "a password alone for a pod that is not selected, "+what, "", ask(l, l.with("amr", "pwd"), "other-0"))
	}
}

// machine is a ServiceAccount that may do everything.
func (l *lab) machine(namespace, name string) who {
	return who{
		UserName: "system:serviceaccount:" + namespace + ":" + name, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, masters},
	}
}

// TestACallWithoutAnAnswerIsTheFailurePolicys: labguard runs and knows nothing.
func TestACallWithoutAnAnswerIsTheFailurePolicys(t *testing.T) {
	for policy, called := range map[admissionv1.FailurePolicyType]bool{admissionv1.Fail: true, admissionv1.Ignore: false} {
		t.Run(string(policy), func(t *testing.T) {
			l := newLab(t)
			l.install(policy)
			pwd := l.with("amr", "pwd")
			refusedFor(l, "while labguard knows", "MethodsMissing", l.exec(pwd, "lis-0"))
			l.fail()
			failed := false
			l.Eventually("labguard knows nothing", func(context.Context) (bool, error) {
				err := l.exec(pwd, "lis-0")
				failed = err != nil && strings.Contains(err.Error(), "failed calling webhook")
				return err == nil || !strings.Contains(err.Error(), "is refused"), nil
			})
			if failed != called {
				t.Errorf("the call has failed for the user: %t", failed)
			}
			night := who{UserName: "night", Groups: []string{breakGlass, masters}}
			refusedFor(l, "break glass", "", l.exec(night, "lis-0"))
			if want := l.Namespace + " night CONNECT pods/exec lis-0"; !slices.Equal(l.used(), []string{want}) {
				t.Errorf("noted %q, want %q", l.used(), want)
			}
		})
	}
}
