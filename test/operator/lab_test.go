// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/operator"
)

const day = 24 * time.Hour

func TestMain(m *testing.M) { os.Exit(cluster.Main(m, cluster.WithCRDs("../../config/crd/bases"))) }

// lab is one namespace with an administrator, a tenant and a running operator.
type lab struct {
	testing.TB
	client.Client
	namespace string
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{TB: t, Client: clientFor(t, cluster.Config()), namespace: cluster.Namespace(t)}
	l.grant("edit", "tenant-"+l.namespace)
	return l
}

func clientFor(t testing.TB, config *rest.Config) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme), certmanagerv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// grant gives a user a role in the namespace.
func (l *lab) grant(role, user string) {
	l.Helper()
	l.kubectl("create", "rolebinding", user+"-"+role, "--clusterrole="+role, "--user="+user, "-n", l.namespace)
}

// kubectl runs kubectl as administrator and fails the test if it fails.
func (l *lab) kubectl(words ...string) string {
	l.Helper()
	output, err := cluster.Kubectl(l, words...)
	if err != nil {
		l.Fatalf("kubectl %s: %v", strings.Join(words, " "), err)
	}
	return output
}

// tenant runs kubectl as a user with the role edit in the namespace. It returns what kubectl prints, warnings included.
func (l *lab) tenant(words ...string) (string, error) {
	l.Helper()
	return l.as("tenant-"+l.namespace, words...)
}

// as runs kubectl in the namespace as any user.
func (l *lab) as(user string, words ...string) (string, error) {
	l.Helper()
	flags := []string{"kubectl", "--kubeconfig=" + cluster.Kubeconfig(), "--as=" + user, "--as-group=system:authenticated", "-n", l.namespace}
	command := exec.CommandContext(context.WithoutCancel(l.Context()), "../../bin/devcluster", append(flags, words...)...)
	output, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, output)
	}
	return string(output), nil
}

// may fails the test if the tenant may not.
func (l *lab) may(words ...string) string {
	l.Helper()
	output, err := l.tenant(words...)
	if err != nil {
		l.Fatalf("kubectl %s: %v", strings.Join(words, " "), err)
	}
	return output
}

// mayNot fails the test unless the tenant is refused, for a reason that has all the words.
func (l *lab) mayNot(reasons []string, words ...string) {
	l.Helper()
	output, err := l.tenant(words...)
	if err == nil {
		l.Fatalf("kubectl %s was not refused: %s", strings.Join(words, " "), output)
	}
	for _, reason := range reasons {
		if !strings.Contains(err.Error(), reason) {
			l.Errorf("kubectl %s: the refusal does not say %q: %v", strings.Join(words, " "), reason, err)
		}
	}
}

// file writes a manifest and returns its path.
func (l *lab) file(manifest string) string {
	l.Helper()
	// kubectl takes a comma in a path for the end of it, and the name of a test may have one.
	file, err := os.CreateTemp("", "labguard-manifest-*.yaml")
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = os.Remove(file.Name()) })
	if _, err := file.WriteString(manifest); err != nil {
		l.Fatal(err)
	}
	if err := file.Close(); err != nil {
		l.Fatal(err)
	}
	return file.Name()
}

// apply applies a manifest as the tenant; %NS% stands for the namespace.
func (l *lab) apply(manifest string) {
	l.Helper()
	l.may("apply", "-f", l.file(strings.ReplaceAll(manifest, "%NS%", l.namespace)))
}

// govern makes a LabWorkload for app=<name> whose images may be 90 days old, and waits until the gate is proven to stand.
func (l *lab) govern(name string, change ...func(*v1alpha1.LabWorkloadSpec)) {
	l.Helper()
	l.declare(name, change...)
	l.ready(name)
}

func (l *lab) declare(name string, change ...func(*v1alpha1.LabWorkloadSpec)) *v1alpha1.LabWorkload {
	l.Helper()
	workload := &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: l.namespace},
		Spec: v1alpha1.LabWorkloadSpec{
			Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}, Enforcement: v1alpha1.EnforcementEnforce,
			Images: &v1alpha1.ImagesSpec{MaxAge: "2160h"},
		},
	}
	for _, one := range change {
		one(&workload.Spec)
	}
	if err := l.Create(l.Context(), workload); err != nil {
		l.Fatalf("create LabWorkload %s: %v", name, err)
	}
	return workload
}

// change edits a LabWorkload.
func (l *lab) change(name string, change func(*v1alpha1.LabWorkloadSpec)) {
	l.Helper()
	operator.Eventually(l, "change LabWorkload "+name, func() error {
		workload := &v1alpha1.LabWorkload{}
		if err := l.get(name, workload); err != nil {
			return err
		}
		change(&workload.Spec)
		return l.Update(l.Context(), workload)
	})
}

func (l *lab) get(name string, object client.Object) error {
	return l.Get(context.WithoutCancel(l.Context()), client.ObjectKey{Namespace: l.namespace, Name: name}, object)
}

// ready waits until labguard has done its part.
func (l *lab) ready(name string) {
	l.Helper()
	l.condition(name, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

// condition waits for a condition of a LabWorkload that speaks of its present generation. An empty reason is any.
func (l *lab) condition(name, kind string, status metav1.ConditionStatus, reason string) *metav1.Condition {
	l.Helper()
	var found *metav1.Condition
	operator.Eventually(l, fmt.Sprintf("LabWorkload %s: %s is %s/%s", name, kind, status, reason), func() error {
		workload := &v1alpha1.LabWorkload{}
		if err := l.get(name, workload); err != nil {
			return err
		}
		found = meta.FindStatusCondition(workload.Status.Conditions, kind)
		switch {
		case found == nil:
			return fmt.Errorf("there is no condition %s among %+v", kind, workload.Status.Conditions)
		case found.ObservedGeneration != workload.Generation:
			return errors.New("it speaks of another generation")
		case found.Status != status || reason != "" && found.Reason != reason:
			return fmt.Errorf("it is %s/%s: %s", found.Status, found.Reason, found.Message)
		}
		return nil
	})
	return found
}

// admitted waits until a record has an image for a reason.
func (l *lab) admitted(record, reference string, reason v1alpha1.AdmissionReason) {
	l.Helper()
	operator.Eventually(l, fmt.Sprintf("record %s has %s as %s", record, reference, reason), func() error {
		found := &v1alpha1.RolloutRecord{}
		if err := l.get(record, found); err != nil {
			return err
		}
		for _, image := range found.Spec.Admitted {
			if image.Reference == reference && image.Reason == reason {
				return nil
			}
		}
		return fmt.Errorf("it has %+v", found.Spec.Admitted)
	})
}

// gone waits until an object does not exist.
func (l *lab) gone(name string, object client.Object) {
	l.Helper()
	operator.Eventually(l, fmt.Sprintf("%T %s is gone", object, name), func() error {
		if err := l.get(name, object); !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("it is there"), err)
		}
		return nil
	})
}

// there waits until an object exists.
func (l *lab) there(name string, object client.Object) {
	l.Helper()
	operator.Eventually(l, fmt.Sprintf("%T %s is there", object, name), func() error { return l.get(name, object) })
}

// template is a pod template as YAML, for app=<app> with one container.
func template(app, image string) string {
	return fmt.Sprintf("{metadata: {labels: {app: %s}}, spec: {containers: [{name: %s, image: %q}]}}", app, app, image)
}

func deployment(name, image string) string {
	return fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %[1]s}\nspec:\n  selector: {matchLabels: {app: %[1]s}}\n  template: %[2]s\n", name, template(name, image))
}

// manifests are one root workload of each kind that has a pod template, and a bare pod.
func manifests(app, image string) map[string]string {
	pods := template(app, image)
	selector := fmt.Sprintf("selector: {matchLabels: {app: %s}}", app)
	return map[string]string{
		"deployment":            deployment(app, image),
		"statefulset":           fmt.Sprintf("apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: %s}\nspec: {serviceName: none, %s, template: %s}\n", app, selector, pods),
		"daemonset":             fmt.Sprintf("apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: %s}\nspec: {%s, template: %s}\n", app, selector, pods),
		"replicaset":            fmt.Sprintf("apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: %s}\nspec: {%s, template: %s}\n", app, selector, pods),
		"replicationcontroller": fmt.Sprintf("apiVersion: v1\nkind: ReplicationController\nmetadata: {name: %s}\nspec: {selector: {app: %s}, template: %s}\n", app, app, pods),
		"job":                   fmt.Sprintf("apiVersion: batch/v1\nkind: Job\nmetadata: {name: %s}\nspec: {template: {metadata: {labels: {app: %s}}, spec: {restartPolicy: Never, containers: [{name: c, image: %q}]}}}\n", app, app, image),
		"cronjob": fmt.Sprintf("apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: %s}\nspec: {schedule: \"0 3 1 1 *\", jobTemplate: {spec: {template: {metadata: {labels: {app: %s}}, "+
			"spec: {restartPolicy: Never, containers: [{name: c, image: %q}]}}}}}\n", app, app, image),
		"pod": fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s, labels: {app: %s}}\nspec: {containers: [{name: c, image: %q}]}\n", app, app, image),
	}
}

// keyOf is the key of an object outside of the namespace of a lab.
func keyOf(namespace, name string) client.ObjectKey {
	return client.ObjectKey{Namespace: namespace, Name: name}
}
