// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// TestAttack plays tenants who want a stale image in, and systems that must never be stopped.
func TestAttack(t *testing.T) {
	operator.Start(t, operator.Options{})
	fresh := operator.Push(t, "lab/attack:fresh", 10*day)
	newer := operator.Push(t, "lab/attack:newer", 5*day)
	stale := operator.Push(t, "lab/attack:stale", 200*day)

	t.Run("a forged annotation admits nothing (F2, F6)", func(t *testing.T) {
		t.Parallel()
		l := governedDeployment(t, fresh)
		l.may("annotate", "deployment/lis", v1alpha1.AdmittedAnnotation+"="+stale, "--overwrite")
		l.may("annotate", "deployment/lis", v1alpha1.AdmissionsAnnotation+"=[{\"reference\":\""+stale+"\",\"reason\":\"Fresh\"}]", "--overwrite")
		l.mayNot([]string{"is stale"}, "set", "image", "deployment/lis", "lis="+stale)
		if annotation := l.may("get", "deployment/lis", "-o", "yaml"); strings.Contains(annotation, stale) {
			t.Errorf("the forged annotation stands:\n%s", annotation)
		}
	})

	t.Run("an owner reference of a tenant counts for nothing (F1)", func(t *testing.T) {
		t.Parallel()
		l := governedDeployment(t, fresh)
		l.may("create", "configmap", "own")
		uid := l.may("get", "configmap", "own", "-o", "jsonpath={.metadata.uid}")
		owner := "ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: own, uid: " + uid + ", controller: true}]"
		for kind, manifest := range manifests("owned", stale) {
			manifest = strings.ReplaceAll(strings.Replace(manifest, "metadata: {name: owned", "metadata: {"+owner+", name: owned", 1), "app: owned", "app: lis")
			l.mayNot([]string{"is stale"}, "create", "-f", l.file(manifest))
			_ = kind
		}
		patch := fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"own","uid":%q,"controller":true}]},"spec":{"template":{"spec":{"containers":[{"name":"lis","image":%q}]}}}}`, uid, stale)
		l.mayNot([]string{"is stale"}, "patch", "deployment/lis", "-p", patch)
	})

	t.Run("the template of a Deployment's ReplicaSet is judged when a tenant writes it (F1)", func(t *testing.T) {
		t.Parallel()
		l := governedDeployment(t, fresh)
		replicaSet := l.may("get", "replicasets", "-l", "app=lis", "-o", "jsonpath={.items[0].metadata.name}")
		l.mayNot([]string{"is stale"}, "set", "image", "replicaset/"+replicaSet, "lis="+stale)
	})

	t.Run("a pod's image changed in place is judged; another admitted one is reported as what its owner does not declare (A11)", func(t *testing.T) {
		t.Parallel()
		l := governedDeployment(t, fresh)
		pod := awaitPod(l, "app=lis")
		l.mayNot([]string{"is stale"}, "set", "image", "pod/"+pod, "lis="+stale)
		l.may("set", "image", "pod/"+pod, "lis="+newer)
		l.condition("lis", v1alpha1.ConditionImagesFresh, metav1.ConditionFalse, v1alpha1.ReasonOwnerMismatch)
	})

	t.Run("an image volume carries code and is judged (A11)", func(t *testing.T) {
		t.Parallel()
		l := governedDeployment(t, fresh)
		patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"volumes":[{"name":"v","image":{"reference":%q}}]}}}}`, stale)
		l.mayNot([]string{"is stale", "volume v"}, "patch", "deployment/lis", "-p", patch)
	})

	t.Run("a debug container gets a warning and no refusal (A11)", func(t *testing.T) {
		t.Parallel()
		l := governedDeployment(t, fresh)
		pod := awaitPod(l, "app=lis")
		l.kubectl("create", "role", "debugger", "--verb=patch", "--resource=pods/ephemeralcontainers", "-n", l.namespace)
		l.kubectl("create", "rolebinding", "debugger", "--role=debugger", "--user=tenant-"+l.namespace, "-n", l.namespace)
		output := l.may("debug", pod, "--image="+stale, "--attach=false", "--profile=general")
		if !strings.Contains(output, "is stale") {
			t.Errorf("no warning: %s", output)
		}
	})

	t.Run("a bare pod with a node is refused as any other, and never gets a gate (A10)", func(t *testing.T) {
		t.Parallel()
		l := governedDeployment(t, fresh)
		pod := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: bare, labels: {app: lis}}\nspec: {nodeName: somewhere, containers: [{name: c, image: %q}]}\n", stale)
		l.mayNot([]string{"is stale"}, "create", "-f", l.file(pod))
	})

	t.Run("the mirror pod of a kubelet is never refused (A10)", func(t *testing.T) {
		t.Parallel()
		l := governedDeployment(t, fresh)
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-" + l.namespace}}
		if err := l.Create(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		l.Cleanup(func() { l.kubectl("delete", "node", node.Name) })
		yes := true
		mirror := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: "static", Namespace: l.namespace, Labels: map[string]string{"app": "lis"},
				Annotations:     map[string]string{corev1.MirrorPodAnnotationKey: "x"},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID, Controller: &yes}},
			},
			Spec: corev1.PodSpec{NodeName: node.Name, Containers: []corev1.Container{{Name: "c", Image: stale}}},
		}
		kubelet := cluster.Config()
		kubelet.Impersonate.UserName, kubelet.Impersonate.Groups = "system:node:"+node.Name, []string{"system:nodes", "system:authenticated"}
		if err := clientFor(t, kubelet).Create(t.Context(), mirror); err != nil {
			t.Fatalf("create a mirror pod as a kubelet: %v", err)
		}
	})

	t.Run("pods of an operator's own kind are never refused, and reported if they bring a stale image (A2)", func(t *testing.T) {
		t.Parallel()
		l := governedDeployment(t, fresh)
		elsewhere := newLab(t)
		elsewhere.kubectl("create", "serviceaccount", "database-operator", "-n", elsewhere.namespace)
		user := "system:serviceaccount:" + elsewhere.namespace + ":database-operator"
		l.kubectl("create", "rolebinding", "operator", "--clusterrole=edit", "--serviceaccount="+elsewhere.namespace+":database-operator", "-n", l.namespace)
		l.kubectl("create", "configmap", "database", "-n", l.namespace)
		uid := l.kubectl("get", "configmap", "database", "-n", l.namespace, "-o", "jsonpath={.metadata.uid}")
		pod := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata:\n  name: database-1\n  labels: {app: lis}\n  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: database, uid: %s, controller: true}]\n"+
			"spec: {containers: [{name: c, image: %q}]}\n", uid, stale)
		if _, err := l.as(user, "create", "-f", l.file(pod)); err != nil {
			t.Fatalf("an operator of another namespace is refused: %v", err)
		}
		l.condition("lis", v1alpha1.ConditionImagesFresh, metav1.ConditionFalse, v1alpha1.ReasonRanWithoutAdmission)
	})

	t.Run("a Job that a person makes from a CronJob is judged by what the CronJob may run (F1)", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.apply(manifests("backup", stale)["cronjob"])
		l.govern("backup")
		l.admitted("cronjob-backup", stale, v1alpha1.AdmittedPreExisting)
		l.may("create", "job", "by-hand", "--from=cronjob/backup")
	})

	t.Run("a policy of others that refuses the canary is named, and enforcement is not called proven (F11)", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.apply(deployment("lis", fresh))
		block(l)
		l.declare("lis")
		blocked := l.condition("lis", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonCanaryBlocked)
		if !strings.Contains(blocked.Message, "not on my watch") {
			t.Errorf("the message does not say who refuses: %s", blocked.Message)
		}
		unblock(l)
		l.ready("lis")
	})
}

// governedDeployment is a lab with a Deployment lis that rolled out a fresh image under a proven gate.
func governedDeployment(t *testing.T, image string) *lab {
	t.Helper()
	l := newLab(t)
	l.govern("lis")
	l.apply(deployment("lis", image))
	l.admitted("deployment-lis", image, v1alpha1.AdmittedFresh)
	operator.Eventually(t, "a ReplicaSet of lis", func() error {
		var found appsv1.ReplicaSetList
		if err := l.List(t.Context(), &found, client.InNamespace(l.namespace)); err != nil {
			return err
		}
		if len(found.Items) == 0 {
			return errors.New("there is none")
		}
		return nil
	})
	return l
}

func awaitPod(l *lab, selector string) string {
	l.Helper()
	var name string
	operator.Eventually(l, "a pod with "+selector, func() error {
		name = l.may("get", "pods", "-l", selector, "-o", "jsonpath={.items[*].metadata.name}")
		if name == "" {
			return errors.New("there is none")
		}
		return nil
	})
	name, _, _ = strings.Cut(name, " ")
	return name
}

// block lets a policy refuse every write to Deployments of the namespace.
func block(l *lab) {
	l.Helper()
	name := "blocker-" + l.namespace
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
				Rule:       admissionv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
			}}}},
			Validations: []admissionv1.Validation{{Expression: "false", Message: "not on my watch"}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: l.namespace}}},
		},
	}
	for _, object := range []client.Object{policy, binding} {
		if err := l.Create(l.Context(), object); err != nil {
			l.Fatal(err)
		}
	}
	l.Cleanup(func() { unblock(l) })
	operator.Eventually(l, "the policy refuses", func() error {
		if _, err := cluster.Kubectl(l, "annotate", "deployment/lis", "-n", l.namespace, "--overwrite", "a="+string(types.UID("b"))); err == nil {
			return errors.New("it does not")
		}
		return nil
	})
}

func unblock(l *lab) {
	l.Helper()
	for _, kind := range []string{"validatingadmissionpolicybinding", "validatingadmissionpolicy"} {
		l.kubectl("delete", "--ignore-not-found", kind, "blocker-"+l.namespace)
	}
}
