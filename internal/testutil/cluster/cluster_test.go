// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// patience bounds what normally takes a second or less.
const patience = time.Minute

func TestMain(m *testing.M) { os.Exit(Main(m, WithCRDs("testdata/crd.yaml"), WithAuthentication())) }

// eventually fails the test when done does not become true.
func eventually(t *testing.T, what string, done func(context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), pollEvery, patience, true, done); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func mustKubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := Kubectl(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestKubectlReachesTheServerOfTheStampedVersion(t *testing.T) {
	if out := mustKubectl(t, "version"); !strings.Contains(out, "Server Version: v1.") || strings.Contains(out, "v0.0.0") {
		t.Errorf("unexpected versions: %s", out)
	}
	if info, err := os.Stat(Kubeconfig()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the kubeconfig should be readable by its owner only: %v, %v", info, err)
	}
	_, err := Kubectl(t, "get", "pod", "no-such-pod")
	if err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("the error should say what kubectl complained about: %v", err)
	}
}

func TestDeploymentControllerActsUnderItsOwnName(t *testing.T) {
	ns, client := Namespace(t), clientset(t)
	mustKubectl(t, "apply", "-f", "testdata/creator-policy.yaml")
	t.Cleanup(func() { mustKubectl(t, "delete", "-f", "testdata/creator-policy.yaml") })
	const annotation = "test.labguard.dev/creator"
	spec := appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "example.invalid/web"}}},
		},
	}
	eventually(t, "the policy takes effect", func(ctx context.Context) (bool, error) {
		rs := &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{Name: "canary"},
			Spec:       appsv1.ReplicaSetSpec{Selector: spec.Selector, Template: spec.Template},
		}
		rs, err := client.AppsV1().ReplicaSets(ns).Create(ctx, rs, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && rs.Annotations[annotation] == "devcluster-admin", err
	})
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: spec}
	if _, err := client.AppsV1().Deployments(ns).Create(t.Context(), deployment, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deployment gets a pod", func(ctx context.Context) (bool, error) {
		pods, err := client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
		return err == nil && len(pods.Items) == 1, err
	})
	sets, err := client.AppsV1().ReplicaSets(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(sets.Items) != 1 {
		t.Fatalf("want one replica set, got %v, %v", sets, err)
	}
	if got, want := sets.Items[0].Annotations[annotation], "system:serviceaccount:kube-system:deployment-controller"; got != want {
		t.Errorf("the replica set was created by %q, want %q", got, want)
	}
}

func TestOnlyTheAdministratorIsOne(t *testing.T) {
	for file, user := range map[string]string{
		"kube-controller-manager": "system:kube-controller-manager",
		"kube-scheduler":          "system:kube-scheduler",
		"cert-manager":            "system:serviceaccount:cert-manager:cert-manager",
	} {
		kubeconfig := "--kubeconfig=" + filepath.Join(shared.dir, "kubeconfigs", file)
		if out := mustKubectl(t, kubeconfig, "auth", "whoami"); !strings.Contains(out, user) {
			t.Errorf("%s is not %s but: %s", file, user, out)
		}
		if out, err := Kubectl(t, kubeconfig, "auth", "can-i", "*", "*", "-A"); err == nil || strings.TrimSpace(out) != "no" {
			t.Errorf("%s may do everything: %s, %v", file, out, err)
		}
	}
}

func TestCertManagerIssuesFromACA(t *testing.T) {
	ns := Namespace(t)
	mustKubectl(t, "apply", "-n", ns, "-f", "testdata/certificate.yaml")
	mustKubectl(t, "wait", "-n", ns, "--for=condition=Ready", "--timeout="+patience.String(), "certificate/ca", "certificate/workload")
	secret, err := clientset(t).CoreV1().Secrets(ns).Get(t.Context(), "workload", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(secret.Data["ca.crt"]) {
		t.Fatal("the secret has no CA")
	}
	block, _ := pem.Decode(secret.Data[corev1.TLSCertKey])
	if block == nil {
		t.Fatal("the secret has no certificate")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := certificate.Verify(x509.VerifyOptions{DNSName: "workload.example", Roots: roots}); err != nil {
		t.Errorf("the certificate does not chain to its CA: %v", err)
	}
}

func TestGarbageCollectionKnowsKindsGivenToMain(t *testing.T) {
	if os.Getenv(dirVariable) != "" {
		t.Skip("needs a cluster that Main started: this one got the kinds after its controllers ran")
	}
	ns, client := Namespace(t), clientset(t)
	owner := filepath.Join(t.TempDir(), "owner.yaml")
	if err := os.WriteFile(owner, []byte("{apiVersion: test.labguard.dev/v1, kind: Owner, metadata: {name: owner}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustKubectl(t, "apply", "-n", ns, "-f", owner)
	uid := mustKubectl(t, "get", "-n", ns, "owner.test.labguard.dev/owner", "-o", "jsonpath={.metadata.uid}")
	child := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "child", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "test.labguard.dev/v1", Kind: "Owner", Name: "owner", UID: types.UID(uid)},
	}}}
	if _, err := client.CoreV1().ConfigMaps(ns).Create(t.Context(), child, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	mustKubectl(t, "delete", "-n", ns, "owner.test.labguard.dev/owner")
	// Later kinds take garbage collection up to 30 seconds to notice.
	const soon = 10 * time.Second
	err := wait.PollUntilContextTimeout(t.Context(), pollEvery, soon, true, func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ConfigMaps(ns).Get(ctx, "child", metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	if err != nil {
		t.Errorf("the child of a deleted owner stays: %v", err)
	}
}

func TestRegistryTakesAndGivesImages(t *testing.T) {
	ref, err := name.ParseReference(RegistryHost() + "/test/" + strings.ToLower(t.Name()) + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(1024, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	want, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	got, err := remote.Head(ref, remote.WithContext(t.Context()))
	if err != nil || got.Digest != want {
		t.Errorf("got digest %v, %v, want %v", got, err, want)
	}
}

func TestAuditLogCountsWritesOfTheOperatorOnly(t *testing.T) {
	const ns, account = "labguard-system", "labguard"
	admin := clientset(t)
	create := func(err error) {
		t.Helper()
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	_, err := admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: named(ns)}, metav1.CreateOptions{})
	create(err)
	_, err = admin.CoreV1().ServiceAccounts(ns).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: named(account)}, metav1.CreateOptions{})
	create(err)
	work := Namespace(t)
	_, err = admin.RbacV1().RoleBindings(work).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: named("edit"),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: account}},
	}, metav1.CreateOptions{})
	create(err)
	operator, err := kubernetes.NewForConfig(ServiceAccountConfig(t, ns, account))
	if err != nil {
		t.Fatal(err)
	}
	before := auditLines(t)
	eventually(t, "the operator's right takes effect", func(ctx context.Context) (bool, error) {
		_, err := operator.CoreV1().ConfigMaps(work).List(ctx, metav1.ListOptions{})
		return err == nil, nil
	})
	if got := auditLines(t); got != before {
		t.Errorf("reading added %d lines to the audit log", got-before)
	}
	if _, err := operator.CoreV1().ConfigMaps(work).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: named("one")}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := auditLines(t); got != before+1 {
		t.Errorf("one write added %d lines to the audit log", got-before)
	}
}

func auditLines(t *testing.T) int {
	t.Helper()
	content, err := os.ReadFile(AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(content), "\n")
}
