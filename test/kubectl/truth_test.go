// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package kubectl

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/operator"
)

const day = 24 * time.Hour

func deployment(name, image string) string {
	return fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %[1]s}\nspec:\n  selector: {matchLabels: {app: %[1]s}}\n"+
		"  template: {metadata: {labels: {app: %[1]s}}, spec: {containers: [{name: %[1]s, image: %[2]q}]}}\n", name, image)
}

// ward is a namespace in which labguard keeps stale images out: of lis by a refusal, of portal by a hold.
type ward struct {
	namespace    string
	fresh, stale string
}

func newWard(t *testing.T) ward {
	t.Helper()
	t.Cleanup(func() { kubectl(t, "delete", "clusterrole", "labguard-webhook-anchor", "--ignore-not-found") })
	operator.Start(t, operator.Options{})
	w := ward{namespace: cluster.Namespace(t), fresh: operator.Push(t, "truth:1", 20*day), stale: operator.Push(t, "truth:2", 200*day)}
	for name, answer := range map[string]v1alpha1.OnStale{"lis": v1alpha1.OnStaleDeny, "portal": v1alpha1.OnStaleHold} {
		workload := &v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}, Spec: v1alpha1.LabWorkloadSpec{
			Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}, Enforcement: v1alpha1.EnforcementEnforce, Images: &v1alpha1.ImagesSpec{MaxAge: "2160h", OnStale: answer},
		}}
		if err := api(t).Create(t.Context(), workload); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"lis", "portal"} {
		w.until(t, name, "the gate stands", func(lw *v1alpha1.LabWorkload) bool {
			return meta.IsStatusConditionTrue(lw.Status.Conditions, v1alpha1.ConditionReady)
		})
		kubectl(t, "apply", "-n", w.namespace, "-f", written(t, deployment(name, w.fresh)))
		w.until(t, name, "its image is known", func(lw *v1alpha1.LabWorkload) bool {
			return len(lw.Status.Images) == 1 && lw.Status.Images[0].StaleAt != nil
		})
	}
	for _, role := range []string{"view", "labguard-image-inventory"} {
		kubectl(t, "create", "clusterrolebinding", "kubectl-test-nurse-"+role, "--clusterrole="+role, "--user=nurse")
		t.Cleanup(func() { kubectl(t, "delete", "clusterrolebinding", "kubectl-test-nurse-"+role) })
	}
	operator.Eventually(t, "the roles count", func() error {
		for _, resource := range []string{"labworkloads.labguard.dev", "imagerecords.labguard.dev"} {
			if out, err := cluster.Kubectl(t, "auth", "can-i", "list", resource, "--as", "nurse", "-A"); err != nil {
				return fmt.Errorf("%s: %s", resource, out)
			}
		}
		return nil
	})
	return w
}

func (w ward) get(t *testing.T, name string) *v1alpha1.LabWorkload {
	t.Helper()
	found := &v1alpha1.LabWorkload{}
	if err := api(t).Get(context.WithoutCancel(t.Context()), client.ObjectKey{Namespace: w.namespace, Name: name}, found); err != nil {
		t.Fatal(err)
	}
	return found
}

func (w ward) until(t *testing.T, name, what string, met func(*v1alpha1.LabWorkload) bool) {
	t.Helper()
	operator.Eventually(t, "LabWorkload "+name+": "+what, func() error {
		if found := w.get(t, name); !met(found) {
			return fmt.Errorf("its status is %+v", found.Status)
		}
		return nil
	})
}

// bring tries to roll an image out, as somebody with kubectl does.
func (w ward) bring(t *testing.T, name, image string) (said string, refused bool) {
	t.Helper()
	said, err := cluster.Kubectl(t, "set", "image", "-n", w.namespace, "deployment/"+name, name+"="+image)
	if err != nil {
		said += err.Error()
	}
	return said, err != nil
}

type outcome struct {
	Verdict string
	Reasons []string
}

// explained is what the plugin says would become of an image.
func (w ward) explained(t *testing.T, name, image string) (now outcome, code int) {
	t.Helper()
	out, _, code := as(t, "nurse", "explain", "deployment/"+name, "-n", w.namespace, "--image", name+"="+image, "-o", "json")
	var answer struct{ Now outcome }
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Now, code
}

// What the plugin says is what labguard does: by the same words, for somebody who may only view.
func TestThePluginSaysWhatLabguardDoes(t *testing.T) {
	w := newWard(t)
	t.Run("what the gate refuses was told to be refused", func(t *testing.T) {
		said, refused := w.bring(t, "lis", w.stale)
		told, code := w.explained(t, "lis", w.stale)
		if !refused || code != 1 || told.Verdict != "Refuses" || len(told.Reasons) != 1 || !strings.Contains(said, told.Reasons[0]) {
			t.Errorf("refused %t with %s\ntold %d %+v", refused, said, code, told)
		}
	})
	t.Run("what the gate lets in was told to roll out", func(t *testing.T) {
		fresher := operator.Push(t, "truth:3", 10*day)
		said, refused := w.bring(t, "lis", fresher)
		told, code := w.explained(t, "lis", fresher)
		if refused || code != 0 || told.Verdict != "RollsOut" || len(told.Reasons) > 0 {
			t.Errorf("refused %t with %s\ntold %d %+v", refused, said, code, told)
		}
		out, _, code := as(t, "nurse", "explain", "deployment/lis", "-n", w.namespace, "--days", "120")
		if code != 0 || !strings.Contains(out, "  now: rolls out\n") || !strings.Contains(out, "  in 120 days (") || !strings.Contains(out, "is refused\n") {
			t.Errorf("%d\n%s", code, out)
		}
	})
	t.Run("what the gate holds is held, for the reason that the gate gave", func(t *testing.T) {
		if out, errOut, code := as(t, "nurse", "held", "-n", w.namespace); code != 0 || out != "" || errOut != "Nothing is held in namespace "+w.namespace+".\n" {
			t.Errorf("%d %s%s", code, out, errOut)
		}
		said, refused := w.bring(t, "portal", w.stale)
		if refused {
			t.Fatal(said)
		}
		told, _ := w.explained(t, "portal", w.stale)
		if told.Verdict != "Holds" || len(told.Reasons) == 0 {
			t.Errorf("told %+v", told)
		}
		operator.Eventually(t, "the hold is recorded", func() error {
			out, errOut, code := as(t, "nurse", "held", "-n", w.namespace)
			if code != 1 || !strings.Contains(out, w.namespace+" deployment/portal RolloutHeld since ") || !strings.Contains(out, "  why: "+strings.TrimPrefix(told.Reasons[0], "labguard: ")) || !strings.Contains(out, "revert the image where it is declared to "+w.fresh) {
				return fmt.Errorf("%d %s%s\ntold %+v\nsaid %s", code, out, errOut, told, said)
			}
			return nil
		})
	})
	t.Run("status says what the status says", func(t *testing.T) {
		w.until(t, "portal", "counts the hold", func(lw *v1alpha1.LabWorkload) bool { return lw.Status.HeldCount == 1 })
		out, _, _ := as(t, "nurse", "status", "-n", w.namespace, "-o", "json")
		var answer struct {
			LabWorkloads []struct {
				Name         string
				Compliant    struct{ Status, Reason string }
				Requirements []struct{ Type, Status, Reason, Message string }
				Held         int32
			}
		}
		if err := json.Unmarshal([]byte(out), &answer); err != nil || len(answer.LabWorkloads) != 2 {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, told := range answer.LabWorkloads {
			lw := w.get(t, told.Name)
			is := meta.FindStatusCondition(lw.Status.Conditions, v1alpha1.ConditionImagesFresh)
			sum := meta.FindStatusCondition(lw.Status.Conditions, v1alpha1.ConditionCompliant)
			if len(told.Requirements) != 1 || told.Requirements[0].Status != string(is.Status) || told.Requirements[0].Reason != is.Reason || told.Requirements[0].Message != is.Message ||
				told.Compliant.Status != string(sum.Status) || told.Held != lw.Status.HeldCount {
				t.Errorf("told %+v of %+v", told, lw.Status)
			}
		}
	})
	t.Run("forecast says when the image turns stale", func(t *testing.T) {
		w.until(t, "lis", "has the image of its last rollout", func(lw *v1alpha1.LabWorkload) bool { return lw.Status.StaleAt != nil })
		at := w.get(t, "lis").Status.StaleAt.UTC().Format(time.DateOnly)
		out, _, code := as(t, "nurse", "forecast", "-n", w.namespace, "--days", "90")
		if !strings.Contains(out, at+"   "+w.namespace+"/lis ") || code == 0 {
			t.Errorf("%d: the image is stale at %s\n%s", code, at, out)
		}
		if out, _, _ = as(t, "nurse", "forecast", "-n", w.namespace, "--days", "1"); strings.Contains(out, "ImageStale") {
			t.Errorf("a day changes\n%s", out)
		}
	})
	t.Run("plan knows how old the images are", func(t *testing.T) {
		out, _, code := as(t, "nurse", "plan", "-n", w.namespace)
		if code != 0 || !strings.Contains(out, "stopped: deployment/portal: "+w.stale+" is stale") || !strings.Contains(out, "kept: deployment/lis: ") {
			t.Errorf("%d\n%s", code, out)
		}
	})
}
