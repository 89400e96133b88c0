// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"fmt"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/training"
)

func record(subject string) *v1alpha1.TrainingRecord {
	return &v1alpha1.TrainingRecord{
		ObjectMeta: metav1.ObjectMeta{Name: "training-" + subject},
		Spec: v1alpha1.TrainingRecordSpec{
			Subject: subject, Issuer: issuer, Course: "phishing-basics", Completed: metav1.NewTime(noon.Add(-time.Hour)),
		},
	}
}

func TestAnImportIsPutInOrderAFewTimes(t *testing.T) {
	t.Parallel()
	clock, a := testclock.NewFakeClock(noon), apiWith(t, record("anna"))
	r := NewRecords(a, clock)
	if _, known := r.Index(); known {
		t.Error("an order of what nobody has read")
	}
	news := make(chan struct{}, 1000)
	r.Notify(func() { news <- struct{}{} })
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Start(ctx) }()
	<-news
	waiting(t, clock)
	for i := range 200 {
		if err := a.Create(ctx, record(fmt.Sprintf("person-%d", i))); err != nil {
			t.Fatal(err)
		}
		r.kept.poke()
	}
	clock.Step(workOutEvery)
	<-news
	index, known := r.Index()
	if people := index.People([]string{"phishing-basics"}); !known || len(people) != 201 {
		t.Errorf("%d people have records", len(people))
	}
	if missing, _ := training.Valid(index, training.Person{Issuer: issuer, Subject: "person-7"}, []string{"phishing-basics"}, 0, noon); len(missing) != 0 {
		t.Errorf("missing %v", missing)
	}
	waiting(t, clock)
	if len(news) != 0 {
		t.Errorf("put in order %d more times", len(news))
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func configuration(change func(*admissionv1.ValidatingWebhookConfiguration)) *admissionv1.ValidatingWebhookConfiguration {
	c := &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "labguard-access", Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name: "access", FailurePolicy: ptr.To(admissionv1.Fail), ClientConfig: admissionv1.WebhookClientConfig{CABundle: []byte("PEM")},
			NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
				Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: []string{"oncology", "pathology"},
			}}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Connect}, Rule: admissionv1.Rule{Resources: []string{"pods/attach", "pods/exec"}},
			}},
		}},
	}
	change(c)
	return c
}

func TestTheWebhookStandsWhereItIsAskedAndFailsClosed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*admissionv1.ValidatingWebhookConfiguration)
		want   bool
		// changes is what is said of changes as well.
		changes bool
	}{
		"as labguard writes it": {func(*admissionv1.ValidatingWebhookConfiguration) {}, true, false},
		"changes too": {func(c *admissionv1.ValidatingWebhookConfiguration) {
			change := c.Webhooks[0].DeepCopy()
			change.Rules[0] = admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Create}, Rule: admissionv1.Rule{Resources: []string{"pods"}}}
			c.Webhooks = append(c.Webhooks, *change)
		}, true, true},
		"changes are let through where nobody asks": {func(c *admissionv1.ValidatingWebhookConfiguration) {
			change := c.Webhooks[0].DeepCopy()
			change.FailurePolicy = ptr.To(admissionv1.Ignore)
			change.Rules[0] = admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Create}, Rule: admissionv1.Rule{Resources: []string{"pods"}}}
			c.Webhooks = append(c.Webhooks, *change)
		}, true, false},
		"it lets through where nobody asks": {func(c *admissionv1.ValidatingWebhookConfiguration) {
			c.Webhooks[0].FailurePolicy = ptr.To(admissionv1.Ignore)
		}, false, false},
		"it does not say what it does then": {func(c *admissionv1.ValidatingWebhookConfiguration) { c.Webhooks[0].FailurePolicy = nil }, false, false},
		"nobody vouches for labguard":       {func(c *admissionv1.ValidatingWebhookConfiguration) { c.Webhooks[0].ClientConfig.CABundle = nil }, false, false},
		"other namespaces": {func(c *admissionv1.ValidatingWebhookConfiguration) {
			c.Webhooks[0].NamespaceSelector.MatchExpressions[0].Values = []string{"pathology-2"}
		}, false, false},
		"all others": {func(c *admissionv1.ValidatingWebhookConfiguration) {
			c.Webhooks[0].NamespaceSelector.MatchExpressions[0].Operator = metav1.LabelSelectorOpNotIn
		}, false, false},
		"no selector at all": {func(c *admissionv1.ValidatingWebhookConfiguration) { c.Webhooks[0].NamespaceSelector = nil }, false, false},
		"no ways into pods": {func(c *admissionv1.ValidatingWebhookConfiguration) {
			c.Webhooks[0].Rules[0].Operations = []admissionv1.OperationType{admissionv1.Update}
		}, false, false},
		"somebody else's": {func(c *admissionv1.ValidatingWebhookConfiguration) { c.Labels = nil }, false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reader := apiWith(t, configuration(test.change))
			got, err := Webhooks{Reader: reader}.Stands(t.Context(), "pathology", false)
			if err != nil || got != test.want {
				t.Errorf("got %t, %v, want %t", got, err, test.want)
			}
			if got, err := (Webhooks{Reader: reader}).Stands(t.Context(), "pathology", true); err != nil || got != test.changes {
				t.Errorf("changes: got %t, %v, want %t", got, err, test.changes)
			}
		})
	}
}
