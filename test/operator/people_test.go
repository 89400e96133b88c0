// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/auditlog"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/operator"
)

const (
	course = "phishing-basics"
	// downed is how the API server refuses what labguard should have decided about.
	downed = "failed calling webhook"
)

// ward is a lab that asks people for a login and for training.
type ward struct {
	*lab
	issuer string
	// provider is the name of the IdentityProvider of the issuer, and gitops the listed machine.
	provider string
	gitops   rest.ImpersonationConfig
	// home is the namespace of the machine.
	home string
	// doomed is another namespace that asks for the same.
	doomed string
}

// person is somebody with a login at the issuer. What they may do in the cluster is their role's business: they may do everything.
func (w *ward) person(name string, methods ...string) rest.ImpersonationConfig {
	return rest.ImpersonationConfig{UserName: "oidc:" + name, Groups: []string{"system:masters", "system:authenticated"}, Extra: map[string][]string{
		v1alpha1.ClaimIssuer: {w.issuer}, v1alpha1.ClaimSubject: {name}, v1alpha1.ClaimMethods: methods,
		v1alpha1.ClaimAuthTime: {strconv.FormatInt(time.Now().Unix(), 10)},
	}}
}

func (w *ward) as(who rest.ImpersonationConfig) client.Client {
	w.Helper()
	config := cluster.Config()
	config.Impersonate = who
	return clientFor(w, config)
}

// exec tries to get into a pod that is not there: who is let in is told so.
func (w *ward) exec(who rest.ImpersonationConfig) error {
	w.Helper()
	config := cluster.Config()
	config.Impersonate = who
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		w.Fatal(err)
	}
	return typed.CoreV1().RESTClient().Post().Namespace(w.namespace).Resource("pods").Name("lis-0").SubResource("exec").
		Param("command", "true").Param("stdout", "true").Do(context.WithoutCancel(w.Context())).Error()
}

// says fails the test unless an error has all the words.
func (w *ward) says(what string, err error, words ...string) {
	w.Helper()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			w.Errorf("%s: %v; want %q", what, err, word)
		}
	}
}

// byThePolicy waits until the API server itself refuses somebody without a login. It looks at changes of policies about once a second; until then
// labguard has to refuse.
func (w *ward) byThePolicy(who rest.ImpersonationConfig) {
	w.Helper()
	operator.Eventually(w, "the policy refuses "+who.UserName+", who logs in by client certificate", func() error {
		err := w.exec(who)
		if err == nil || strings.Contains(err.Error(), "not found") {
			w.Fatalf("%s gets in without a login: %v", who.UserName, err)
		}
		if !strings.Contains(err.Error(), "labguard guards the pods of this namespace") {
			return fmt.Errorf("it is refused otherwise: %w", err)
		}
		return nil
	})
}

func (w *ward) record(name string) *v1alpha1.TrainingRecord {
	return &v1alpha1.TrainingRecord{ObjectMeta: metav1.ObjectMeta{Name: name + "." + w.namespace}, Spec: v1alpha1.TrainingRecordSpec{
		Issuer: w.issuer, Subject: name, Course: course, Completed: metav1.NewTime(time.Now().Add(-time.Hour)),
	}}
}

// trained has somebody write that somebody has taken the course.
func (w *ward) trained(who rest.ImpersonationConfig, name string) {
	w.Helper()
	w.keep(who, w.record(name))
}

// sealed is the account of the emergency.
func sealed() rest.ImpersonationConfig {
	return rest.ImpersonationConfig{UserName: "sealed", Groups: []string{"system:masters", v1alpha1.BreakGlassGroup}}
}

// keep creates an object outside of the namespace, for as long as the test. Where something is enforced it takes a login.
func (w *ward) keep(who rest.ImpersonationConfig, object client.Object) {
	w.Helper()
	if err := w.as(who).Create(w.Context(), object); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := w.as(sealed()).Delete(context.WithoutCancel(w.Context()), object); err != nil {
			w.Error(err)
		}
	})
}

// newWard starts an operator that lists one machine, and asks in a namespace for a second factor and for a course, of mia, who has taken it, and of eve.
func newWard(t *testing.T) (*ward, *operator.Operator) {
	t.Helper()
	home := cluster.Namespace(t)
	running := operator.Start(t, operator.Options{
		Configuration: operator.Configuration() + "access:\n  machines: [{namespace: " + home + ", serviceAccount: gitops}]\n",
	})
	w := &ward{lab: newLab(t), home: home, gitops: rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + home + ":gitops", Groups: []string{"system:masters", "system:serviceaccounts", "system:serviceaccounts:" + home},
	}}
	w.provider, w.issuer = w.namespace, "https://"+w.namespace+".idp.example"
	w.grant("labguard-acknowledger", "oidc:anna") // later even an administrator needs a login to give somebody a right here
	w.keep(sealed(), &v1alpha1.IdentityProvider{ObjectMeta: metav1.ObjectMeta{Name: w.provider}, Spec: v1alpha1.IdentityProviderSpec{
		Issuer: w.issuer, Proves: []v1alpha1.ProvenClaim{v1alpha1.ProvesMethods, v1alpha1.ProvesAuthTime},
	}})
	w.trained(sealed(), "mia")
	asks := func(spec *v1alpha1.LabWorkloadSpec) {
		spec.Images = nil
		spec.MFA = &v1alpha1.MFASpec{MaxAge: "12h"}
		spec.Training = &v1alpha1.TrainingSpec{Courses: []v1alpha1.Course{course}, Subjects: []v1alpha1.TrainingSubject{
			{Issuer: w.issuer, Subject: "mia"}, {Issuer: w.issuer, Subject: "eve"},
		}}
	}
	w.declare("lis", asks)
	w.ready("lis")
	w.doom(asks)
	return w, running
}

// doom makes a namespace that is there to be deleted, with something in it of what is asked about.
func (w *ward) doom(asks func(*v1alpha1.LabWorkloadSpec)) {
	w.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "doomed-"}}
	if err := w.Create(w.Context(), namespace); err != nil {
		w.Fatal(err)
	}
	w.doomed = namespace.Name
	other := &lab{TB: w.TB, Client: w.Client, namespace: w.doomed}
	other.grant("view", "oidc:anna")
	for _, object := range []client.Object{
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: w.doomed, Name: "lis"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}},
		deploymentIn(w.doomed),
	} {
		if err := w.Create(w.Context(), object); err != nil {
			w.Fatal(err)
		}
	}
	other.declare("lis", asks)
	other.ready("lis")
}

// deploymentIn is a Deployment of two pods.
func deploymentIn(namespace string) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "lis"}, Spec: appsv1.DeploymentSpec{
		Replicas: new(int32(2)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "lis"}}, Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "lis", Image: "registry.example/lis:1"}},
		}},
	}}
}

// TestPeople follows a lab from the day on which it asks for logins and training, through an emergency and an outage of labguard.
func TestPeople(t *testing.T) {
	w, running := newWard(t)
	// Nothing is said to be enforced before a login was seen.
	w.condition("lis", v1alpha1.ConditionMFAEnforced, metav1.ConditionUnknown, v1alpha1.ReasonNoClaims)
	w.condition("lis", v1alpha1.ConditionStaffTrained, metav1.ConditionFalse, v1alpha1.ReasonTrainingMissing)
	w.condition("lis", v1alpha1.ConditionCompliant, metav1.ConditionFalse, v1alpha1.ReasonRequirementFailed)
	w.seen(metav1.ConditionFalse, v1alpha1.ReasonClaimsNotSeen)

	w.says("a password", w.exec(w.person("mia", "pwd")), "is refused (MethodsMissing)")
	w.says("no course", w.exec(w.person("eve", "mfa")), "is refused (TrainingMissing)", course)
	administrator := rest.ImpersonationConfig{UserName: "root", Groups: []string{"system:masters"}}
	w.byThePolicy(administrator)
	w.says("mia", w.exec(w.person("mia", "mfa")), "not found")
	w.seen(metav1.ConditionTrue, v1alpha1.ReasonClaimsArrived)
	administrator.UserName = "registrar"
	w.says("a record without a login", w.as(administrator).Create(w.Context(), w.record("eve")), "is refused (NoClaims)")
	w.trained(w.person("registrar", "mfa"), "eve")
	operator.Eventually(w, "eve gets in", func() error {
		if err := w.exec(w.person("eve", "mfa")); err == nil || !strings.Contains(err.Error(), "not found") {
			return fmt.Errorf("she is told: %w", err)
		}
		return nil
	})
	w.condition("lis", v1alpha1.ConditionStaffTrained, metav1.ConditionTrue, v1alpha1.ReasonStaffTrained)
	w.proven()
	w.condition("lis", v1alpha1.ConditionCompliant, metav1.ConditionTrue, v1alpha1.ReasonAllTrue)

	w.weakened()
	w.claimed()
	w.emergency()
	running.Kill(t)
	w.outage(t)
	running.Run(t)
	w.ready("lis")
	w.proven()
	w.says("mia, when labguard is back", w.exec(w.person("mia", "mfa")), "not found")
}

// weakened has what the lab asks for written without the login that it asks for: whoever could do that would need no other way in.
func (w *ward) weakened() {
	w.Helper()
	administrator := rest.ImpersonationConfig{UserName: "root", Groups: []string{"system:masters"}}
	workload := &v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "lis"}}
	audit := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"mfa":{"enforcement":"Audit"},"training":{"enforcement":"Audit"}}}`))
	w.says("an administrator who weakens the lab", w.as(administrator).Patch(w.Context(), workload, audit), "is refused (NoClaims)")
	w.says("a password that weakens the lab", w.as(w.person("mia", "pwd")).Patch(w.Context(), workload, audit), "is refused (MethodsMissing)")
	w.says("an administrator who deletes what the lab asks for", w.as(administrator).Delete(w.Context(), workload), "is refused (NoClaims)")
	provider := &v1alpha1.IdentityProvider{ObjectMeta: metav1.ObjectMeta{Name: w.provider}}
	w.says("another provider", w.as(administrator).Delete(w.Context(), provider), "is refused (NoClaims)")
	if err := w.as(w.person("mia", "mfa")).Patch(w.Context(), workload, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"lab.example/note":"mia was here"}}}`))); err != nil {
		w.Errorf("mia, who has a login and the course: %v", err)
	}
}

// claimed has somebody who could become the machine, and somebody who could claim a second factor, for as long as each holds the right.
func (w *ward) claimed() {
	w.Helper()
	w.kubectl("create", "rolebinding", "claims", "--clusterrole=edit", "--user=dora", "-n", w.home)
	w.condition("lis", v1alpha1.ConditionMFAEnforced, metav1.ConditionFalse, v1alpha1.ReasonMachineIdentityClaimable)
	w.kubectl("delete", "rolebinding", "claims", "-n", w.home)
	w.proven()
	forger := w.namespace + "-forger"
	w.kubectl("create", "clusterrole", forger, "--verb=impersonate", "--resource=userextras.authentication.k8s.io/labguard.dev/amr")
	w.Cleanup(func() { w.kubectl("delete", "clusterrole,clusterrolebinding", forger, "--ignore-not-found") })
	w.kubectl("create", "clusterrolebinding", forger, "--clusterrole="+forger, "--user=dora")
	w.condition("lis", v1alpha1.ConditionMFAEnforced, metav1.ConditionUnknown, v1alpha1.ReasonClaimsForgeable)
	w.kubectl("delete", "clusterrolebinding", forger)
	w.proven()
}

// proven waits until it is said to be enforced. A machine is listed, and whoever pushes to its repository needs no login.
func (w *ward) proven() {
	w.Helper()
	w.condition("lis", v1alpha1.ConditionMFAEnforced, metav1.ConditionTrue, v1alpha1.ReasonGitPathNotProven)
}

// seen waits until the IdentityProvider says whether claims arrive.
func (w *ward) seen(status metav1.ConditionStatus, reason string) {
	w.Helper()
	operator.Eventually(w, fmt.Sprintf("IdentityProvider: %s/%s", status, reason), func() error {
		found := &v1alpha1.IdentityProvider{}
		if err := w.Get(w.Context(), client.ObjectKey{Name: w.provider}, found); err != nil {
			return err
		}
		condition := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionClaimsSeen)
		if condition == nil || condition.Status != status || condition.Reason != reason {
			return fmt.Errorf("it is %+v", condition)
		}
		at := found.Status.ClaimsSeenAt
		if known := at != nil; known != (status == metav1.ConditionTrue) || known && !at.Time.Equal(at.Truncate(time.Hour)) {
			return fmt.Errorf("claims were seen at %v", at)
		}
		return nil
	})
}

// emergency breaks the glass, and has it acknowledged.
func (w *ward) emergency() {
	w.Helper()
	w.says("break glass", w.exec(sealed()), "not found")
	use := w.use("sealed")
	if len(use.Spec.Requests) != 1 || use.Spec.Requests[0].Resource != "pods/exec" || use.Spec.Requests[0].Name != "lis-0" {
		w.Errorf("the record says %+v", use.Spec)
	}
	w.condition("lis", v1alpha1.ConditionBreakGlassUsed, metav1.ConditionTrue, v1alpha1.ReasonBreakGlassOpen)
	w.condition("lis", v1alpha1.ConditionMFAEnforced, metav1.ConditionUnknown, v1alpha1.ReasonBreakGlassOpen)
	w.announced(v1alpha1.ReasonBreakGlassOpen)
	acknowledge := func(who rest.ImpersonationConfig, by string) error {
		patch := fmt.Appendf(nil, `{"spec":{"acknowledgement":{"by":%q,"reason":"the analyzer was stuck"}}}`, by)
		return w.as(who).Patch(w.Context(), use.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
	}
	masked := w.person("sealed", "mfa")
	masked.UserName = "sealed"
	w.says("whoever used it", acknowledge(masked, "sealed"), "have it done by somebody else")
	w.says("in another's name", acknowledge(w.person("mia", "mfa"), "oidc:eve"), "acknowledgement.by has to be")
	w.says("with a password", acknowledge(w.person("mia", "pwd"), "oidc:mia"), "is refused (MethodsMissing)")
	anna := w.person("anna", "mfa")
	anna.Groups = []string{"system:authenticated"} // she has a role in this namespace and nothing else
	operator.Eventually(w, "anna acknowledges it, who needs no course for that", func() error { return acknowledge(anna, "oidc:anna") })
	operator.Eventually(w, "nobody has to answer for anything", func() error {
		workload := &v1alpha1.LabWorkload{}
		if err := w.get("lis", workload); err != nil {
			return err
		}
		if found := meta.FindStatusCondition(workload.Status.Conditions, v1alpha1.ConditionBreakGlassUsed); found != nil {
			return fmt.Errorf("it says %+v", found)
		}
		return nil
	})
	w.proven()
}

// use waits for the open record of a user.
func (w *ward) use(user string) *v1alpha1.BreakGlassUse {
	w.Helper()
	var found *v1alpha1.BreakGlassUse
	operator.Eventually(w, "the use of break glass is recorded", func() error {
		var list v1alpha1.BreakGlassUseList
		if err := w.List(w.Context(), &list, client.InNamespace(w.namespace)); err != nil {
			return err
		}
		if len(list.Items) != 1 || list.Items[0].Spec.User != user {
			return fmt.Errorf("there are %+v", list.Items)
		}
		found = &list.Items[0]
		return nil
	})
	return found
}

// announced waits for an event about the LabWorkload.
func (w *ward) announced(reason string) {
	w.Helper()
	operator.Eventually(w, "an event says "+reason, func() error {
		var list eventsv1.EventList
		if err := w.List(w.Context(), &list, client.InNamespace(w.namespace)); err != nil {
			return err
		}
		for i := range list.Items {
			if event := &list.Items[i]; event.Regarding.Kind == "LabWorkload" && event.Reason == reason {
				return nil
			}
		}
		return errors.New("none does")
	})
}

// found waits until the API server's audit log has these uses of break glass, and no others: each says whether labguard has seen it.
func (w *ward) found(what string, seen ...bool) {
	w.Helper()
	operator.Eventually(w, what+" are found in the audit log", func() error {
		file, err := os.Open(cluster.AuditLog())
		if err != nil {
			return err
		}
		finder := auditlog.NewFinder(auditlog.Query{Group: v1alpha1.BreakGlassGroup, Namespace: w.namespace})
		if err := errors.Join(finder.Read("audit.log", file), file.Close()); err != nil {
			return err
		}
		var got []bool
		for _, use := range finder.Uses() {
			if use.User != "sealed" || use.Object != "pods/lis-0/exec" {
				return fmt.Errorf("there is %+v", use)
			}
			got = append(got, use.Seen)
		}
		if !slices.Equal(got, seen) {
			return fmt.Errorf("there are %+v", finder.Uses())
		}
		return nil
	})
}

// outage shows what goes on while labguard is down: the cluster's own controllers, a listed machine and the emergency.
func (w *ward) outage(t *testing.T) {
	t.Helper()
	gitops := w.as(w.gitops)
	lis := deploymentIn(w.namespace)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(gitops.Create(t.Context(), lis.DeepCopy()))
	awaitPods(t, w.lab, "lis", 2)
	mia := w.as(w.person("mia", "mfa"))
	w.says("mia gets in", w.exec(w.person("mia", "mfa")), downed)
	w.says("mia changes it", mia.Patch(t.Context(), lis.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`))), downed)
	// How many there are of it is nobody's secret.
	must(mia.SubResource("scale").Patch(t.Context(), lis.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":3}}`))))
	awaitPods(t, w.lab, "lis", 3)
	w.says("break glass", w.exec(sealed()), "not found")
	w.found("the one of the emergency and the one of now", true, false)
	// The Deployment goes last, after the garbage collector has deleted what it owns.
	must(gitops.Delete(t.Context(), lis.DeepCopy(), client.PropagationPolicy(metav1.DeletePropagationForeground)))
	w.gone("lis", &appsv1.Deployment{})
	// And so does a namespace in which the same is asked, with all that is in it.
	must(w.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.doomed}}))
	operator.Eventually(w, "namespace "+w.doomed+" is gone", func() error {
		if err := w.Get(t.Context(), client.ObjectKey{Name: w.doomed}, &corev1.Namespace{}); !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("it is there"), err)
		}
		return nil
	})
}
