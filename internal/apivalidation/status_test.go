// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/internal/testutil/cluster"
)

// The status of a LabWorkload is written by labguard alone. Its schema says how much a report may hold, and builders cut to that.
func TestStatusOfLabWorkload(t *testing.T) {
	c := clientIn(t, "labworkloads", cluster.Namespace(t))
	workload, err := c.Create(t.Context(), labWorkload(t, ""), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	image := func(fields string) string {
		return "images: [{reference: 'r.example/lis:1', answer: Fresh, reason: ImageFresh, " + fields + "}]"
	}
	held := func(fields string) string {
		return "held: [{kind: Deployment, name: lis, reason: RolloutHeld, " + fields + "}]"
	}
	answer := func(word string) string {
		return "images: [{reference: 'r.example/lis:1', answer: " + word + ", reason: ImageStale}]"
	}
	update := func(t *testing.T, status string) error {
		t.Helper()
		changed, fields := workload.DeepCopy(), map[string]any{}
		if err := yaml.Unmarshal([]byte(status), &fields); err != nil {
			t.Fatalf("the test's own YAML: %v\n%s", err, status)
		}
		changed.Object["status"] = fields
		options := metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}
		_, err := c.UpdateStatus(t.Context(), changed, options)
		return err
	}
	for _, status := range []string{
		answer("TooYoung"), answer("Stale"), answer("Unknown"), answer("Exempt"), image("fresher: None"), image("fresher: 'sha256:1'"),
		image("sameContentSince: '2026-11-23T00:00:00Z'"), held("since: '2026-11-23T00:00:00Z', images: ['r.example/lis:2']"), "heldCount: 21",
		"held: " + list(20, "{kind: Deployment, name: 'lis-%d', reason: HeldMidRollout}"),
	} {
		if err := update(t, status); err != nil {
			t.Errorf("not accepted:\n%s\n%v", status, err)
		}
	}
	for _, want := range []refusal{
		{spec: answer("Old"), field: "images[0].answer", says: `supported values: "Fresh", "Stale", "TooYoung", "Unknown", "Exempt"`},
		{spec: image("fresher: ''"), field: "images[0].fresher", says: "at least 1 chars long"},
		{spec: image("fresher: '" + strings.Repeat("1", 257) + "'"), field: "images[0].fresher", says: "may not be more than 256"},
		{spec: image("sameContentSince: yesterday"), field: "images[0].sameContentSince", says: "must be of type date-time"},
		{spec: "held: [{name: lis, reason: RolloutHeld}]", field: "held[0].kind", says: "Required value"},
		{spec: "held: [{kind: Deployment, reason: RolloutHeld}]", field: "held[0].name", says: "Required value"},
		{spec: "held: [{kind: Deployment, name: lis}]", field: "held[0].reason", says: "Required value"},
		{spec: held("images: ['']"), field: "held[0].images[0]", says: "at least 1 chars long"},
		{spec: held("images: " + list(11, "'r.example/lis:%d'")), field: "held[0].images", says: "must have at most 10 items"},
		{spec: "held: " + list(21, "{kind: Deployment, name: 'lis-%d', reason: RolloutHeld}"), field: "held", says: "must have at most 20 items"},
		{spec: "heldCount: 0", field: "heldCount", says: "greater than or equal to 1"},
	} {
		err := update(t, want.spec)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "status."+want.field) || !strings.Contains(err.Error(), want.says) {
			t.Errorf("the answer to\n%s\nis %v, want a refusal that names %s and says %q", want.spec, err, want.field, want.says)
		}
	}
}
