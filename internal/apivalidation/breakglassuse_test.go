// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/labguard/labguard/internal/testutil/cluster"
)

const aRequest = "{at: '2026-11-23T02:00:00Z', operation: CONNECT, resource: pods/exec, name: lis-0}"

func breakGlassUse(t *testing.T, spec string) *unstructured.Unstructured {
	t.Helper()
	return laid(t, "BreakGlassUse", "{user: night, first: '2026-11-23T02:00:00Z', last: '2026-11-23T02:10:00Z', count: 3, requests: ["+aRequest+"]}", spec)
}

func breakGlassUseRules() []rule {
	request := func(fields string) string { return "requests: [" + fields + "]" }
	acknowledged := func(by, reason string) string {
		return "acknowledgement: {by: '" + by + "', reason: '" + reason + "'}"
	}
	const at = "at: '2026-11-23T02:00:00Z'"
	return []rule{
		{
			name: "it says who, since when, and how often", accepted: []string{"{}", "requests: null", "user: '" + strings.Repeat("u", 1024) + "'", "last: '2026-11-23T02:00:00Z'"},
			refused: []refusal{
				{spec: "user: null", field: "user", says: "Required value"},
				{spec: "user: ''", field: "user", says: "at least 1 chars long"},
				{spec: "user: '" + strings.Repeat("u", 1025) + "'", field: "user", says: "may not be more than 1024"},
				{spec: "first: null", field: "first", says: "Required value"},
				{spec: "first: tonight", field: "first", says: "must be of type date-time"},
				{spec: "last: null", field: "last", says: "Required value"},
				{spec: "last: '2026-11-23T01:59:59Z'", says: "last must not be before first"},
				{spec: "count: null", field: "count", says: "Required value"},
				{spec: "count: 0", field: "count", says: "greater than or equal to 1"},
				{spec: "groups: [night]", field: "groups", says: "unknown field"},
			},
		},
		{
			name:     "it tells the first requests apart",
			accepted: []string{"requests: " + list(20, "{at: '2026-11-23T02:00:00Z', operation: CREATE, resource: pods, name: 'p%d'}"), request("{" + at + ", operation: CREATE, resource: pods}")},
			refused: []refusal{
				{spec: "requests: []", field: "requests", says: "should have at least 1 items"},
				{spec: "requests: " + list(21, "{at: '2026-11-23T02:00:00Z', operation: CREATE, resource: pods, name: 'p%d'}"), field: "requests", says: "must have at most 20 items"},
				{spec: request("{operation: CONNECT, resource: pods/exec}"), field: "requests[0].at", says: "Required value"},
				{spec: request("{" + at + ", resource: pods/exec}"), field: "requests[0].operation", says: "Required value"},
				{spec: request("{" + at + ", operation: CONNECT}"), field: "requests[0].resource", says: "Required value"},
				{spec: request("{" + at + ", operation: " + strings.Repeat("O", 17) + ", resource: pods}"), field: "requests[0].operation", says: "may not be more than 16"},
				{spec: request("{" + at + ", operation: CREATE, resource: " + strings.Repeat("r", 129) + "}"), field: "requests[0].resource", says: "may not be more than 128"},
				{spec: request("{" + at + ", operation: CREATE, resource: pods, name: " + strings.Repeat("n", 254) + "}"), field: "requests[0].name", says: "may not be more than 253"},
			},
		},
		{
			name: "an acknowledgement says who, and what was found", accepted: []string{acknowledged("mia", "restarted the analyzer link"), acknowledged("mia", strings.Repeat("r", 1024))},
			refused: []refusal{
				{spec: "acknowledgement: {}", field: "acknowledgement.by", says: "Required value"},
				{spec: "acknowledgement: {by: mia}", field: "acknowledgement.reason", says: "Required value"},
				{spec: acknowledged("", "looked at"), field: "acknowledgement.by", says: "at least 1 chars long"},
				{spec: acknowledged(strings.Repeat("m", 1025), "looked at"), field: "acknowledgement.by", says: "may not be more than 1024"},
				{spec: acknowledged("mia", "ok"), field: "acknowledgement.reason", says: "at least 3 chars long"},
				{spec: acknowledged("mia", strings.Repeat("r", 1025)), field: "acknowledgement.reason", says: "may not be more than 1024"},
			},
		},
	}
}

func TestRulesOfBreakGlassUse(t *testing.T) {
	refusals := breaks(t, client(t, "breakglassuses"), breakGlassUseRules(), breakGlassUse)
	t.Run("it only grows, until it is acknowledged", func(t *testing.T) {
		refusals += onlyGrows(t, clientIn(t, "breakglassuses", cluster.Namespace(t)))
	})
	t.Run("no CEL rule is without a test", func(t *testing.T) {
		everyMessageIn(t, refusals, "../../config/crd/bases/labguard.dev_breakglassuses.yaml", 4)
	})
}

// onlyGrows returns the refusals of changes that would hide something.
func onlyGrows(t *testing.T, c dynamic.ResourceInterface) string {
	t.Helper()
	use, err := c.Create(t.Context(), breakGlassUse(t, ""), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var refusals strings.Builder
	update := func(spec string, dryRun ...string) error {
		changed := breakGlassUse(t, spec)
		changed.SetResourceVersion(use.GetResourceVersion())
		kept, err := c.Update(t.Context(), changed, metav1.UpdateOptions{DryRun: dryRun})
		if err == nil && len(dryRun) == 0 {
			use = kept
		}
		return err
	}
	refused := func(spec, says string) {
		t.Helper()
		err := update(spec, metav1.DryRunAll)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), says) {
			t.Errorf("the answer to the change\n%s\nis %v, want a refusal that says %q", spec, err, says)
			return
		}
		refusals.WriteString(err.Error())
	}
	const never, grows, stays = "who has used break glass, and since when, never changes", "a use only grows", "what somebody has acknowledged never changes"
	refused("user: somebody-else", never)
	refused("first: '2026-11-23T02:05:00Z'", never)
	refused("count: 2", grows)
	refused("last: '2026-11-23T02:09:59Z'", grows)
	if err := update("{count: 5, last: '2026-11-23T02:20:00Z', requests: [" + aRequest + ", " + aRequest + "]}"); err != nil {
		t.Fatalf("two more requests: %v", err)
	}
	const acknowledged = "count: 5, last: '2026-11-23T02:20:00Z', acknowledgement: {by: mia, reason: restarted the link}"
	if err := update("{" + acknowledged + "}"); err != nil {
		t.Fatalf("an acknowledgement: %v", err)
	}
	if err := update("{"+acknowledged+"}", metav1.DryRunAll); err != nil {
		t.Errorf("the same once more: %v", err)
	}
	refused("{count: 5, last: '2026-11-23T02:20:00Z'}", stays)
	refused("{count: 5, last: '2026-11-23T02:20:00Z', acknowledgement: {by: ben, reason: restarted the link}}", stays)
	refused("{count: 6, last: '2026-11-23T02:30:00Z', acknowledgement: {by: mia, reason: restarted the link}}", stays)
	return refusals.String()
}
