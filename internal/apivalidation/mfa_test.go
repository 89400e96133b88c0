// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/internal/testutil/cluster"
)

const (
	loginBetween = "the age of a login is between 5m and 30 days (720h), such as 12h"
	loginForm    = "write hours, minutes and seconds, such as 12h"
	methodIsWord = "a method is one word of visible characters, as it stands in the claim amr, such as mfa"
	contextWord  = "a context is one word of visible characters, as it stands in the claim acr"
	oneFactor    = "pwd, pin and kba are what somebody knows, so that a set of them alone is one factor: add another, such as otp"
	aWord        = `supported values: "Access", "Change"`
)

// mfaRules are those of spec.mfa of a LabWorkload.
func mfaRules() []rule {
	field := func(name, value string) string { return "mfa: {" + name + ": " + value + "}" }
	maxAge := func(age string) string { return field("maxAge", "'"+age+"'") }
	methods := func(sets string) string { return field("methods", sets) }
	contexts := func(list string) string { return field("contexts", list) }
	return []rule{
		{
			name: "an mfa that says nothing asks for its defaults", accepted: []string{"mfa: {}", "mfa: {enforcement: Enforce, onUnproven: Warn}"},
			refused: []refusal{
				{spec: field("enforcement", "Sometimes"), field: "mfa.enforcement", says: `supported values: "Audit", "Enforce"`},
				{spec: field("onUnproven", "Ignore"), field: "mfa.onUnproven", says: `supported values: "Deny", "Warn"`},
				{spec: field("method", "[mfa]"), field: "mfa.method", says: "unknown field"},
			},
		},
		{
			name: "a login is of the last five minutes at least, and of the last 30 days at most", accepted: []string{maxAge("5m"), maxAge("300s"), maxAge("1h30m"), maxAge("720h")},
			refused: []refusal{
				{spec: maxAge("4m59s"), field: "mfa.maxAge", says: loginBetween},
				{spec: maxAge("0s"), field: "mfa.maxAge", says: loginBetween},
				{spec: maxAge("720h1s"), field: "mfa.maxAge", says: loginBetween},
				{spec: maxAge("1d"), field: "mfa.maxAge", says: loginForm},
				{spec: maxAge("-12h"), field: "mfa.maxAge", says: loginForm},
				{spec: maxAge("12.5h"), field: "mfa.maxAge", says: loginForm},
				{spec: maxAge("h"), field: "mfa.maxAge", says: "at least 2 chars long"},
				{spec: maxAge(strings.Repeat("1", 20) + "h"), field: "mfa.maxAge", says: "may not be more than 20"},
			},
		},
		{
			name: "methods are sets of words",
			accepted: []string{
				methods("[[mfa], [hwk], [pwd, otp]]"), methods("[['http://schemas.example/claims/multipleauthn']]"), methods("[['" + strings.Repeat("m", 128) + "']]"),
				methods("[" + list(8, "m%d") + "]"), methods(list(16, "[m%d]")),
			},
			refused: []refusal{
				{spec: methods("[]"), field: "mfa.methods", says: "should have at least 1 items"},
				{spec: methods(list(17, "[m%d]")), field: "mfa.methods", says: "must have at most 16 items"},
				{spec: methods("[[mfa], []]"), field: "mfa.methods[1]", says: "should have at least 1 items"},
				{spec: methods("[" + list(9, "m%d") + "]"), field: "mfa.methods[0]", says: "must have at most 8 items"},
				{spec: methods("[[mfa, mfa]]"), field: "mfa.methods[0][1]", says: "Duplicate value"},
				{spec: methods("[mfa]"), field: "mfa.methods[0]", says: "must be of type array"},
				{spec: methods("[['pwd otp']]"), field: "mfa.methods[0][0]", says: methodIsWord},
				{spec: methods(`[["mfa\u200B"]]`), field: "mfa.methods[0][0]", says: methodIsWord},
				{spec: methods("[['']]"), field: "mfa.methods[0][0]", says: "at least 1 chars long"},
				{spec: methods("[['" + strings.Repeat("m", 129) + "']]"), field: "mfa.methods[0][0]", says: "may not be more than 128"},
			},
		},
		{
			name: "a set is more than one factor, as far as its words tell", accepted: []string{methods("[[pwd, otp], [pin, hwk], [kba, pwd, sms]]"), methods("[[Password]]")},
			refused: []refusal{
				{spec: methods("[[pwd]]"), field: "mfa.methods[0]", says: oneFactor},
				{spec: methods("[[mfa], [pwd, kba, pin]]"), field: "mfa.methods[1]", says: oneFactor},
			},
		},
		{
			name: "contexts are words", accepted: []string{contexts("[phr, 'urn:mace:incommon:iap:silver', '2']"), contexts("['" + strings.Repeat("c", 256) + "']"), contexts(list(16, "c%d"))},
			refused: []refusal{
				{spec: contexts("[]"), field: "mfa.contexts", says: "should have at least 1 items"},
				{spec: contexts(list(17, "c%d")), field: "mfa.contexts", says: "must have at most 16 items"},
				{spec: contexts("[phr, phr]"), field: "mfa.contexts[1]", says: "Duplicate value"},
				{spec: contexts("[phr, 'a b']"), field: "mfa.contexts[1]", says: contextWord},
				{spec: contexts("['']"), field: "mfa.contexts[0]", says: "at least 1 chars long"},
				{spec: contexts("['" + strings.Repeat("c", 257) + "']"), field: "mfa.contexts[0]", says: "may not be more than 256"},
			},
		},
		{
			name: "logins cover access, change or both", accepted: []string{field("covers", "[Access]"), field("covers", "[Change, Access]")},
			refused: []refusal{
				{spec: field("covers", "[]"), field: "mfa.covers", says: "should have at least 1 items"},
				{spec: field("covers", "[Read]"), field: "mfa.covers[0]", says: aWord},
				{spec: field("covers", "[Access, Access]"), field: "mfa.covers[1]", says: "Duplicate value"},
			},
		},
	}
}

func TestDefaultsOfMFA(t *testing.T) {
	got, err := create(t, client(t, "labworkloads"), labWorkload(t, "mfa: {}"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"selector": map[string]any{"matchLabels": map[string]any{"app": "lis"}}, "enforcement": "Audit",
		"mfa": map[string]any{"maxAge": "12h", "onUnproven": "Deny"},
	}
	if diff := cmp.Diff(want, got.Object["spec"]); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

// kubectl shows the answers about people beside those about what runs.
func TestColumnsOfPeople(t *testing.T) {
	namespace := cluster.Namespace(t)
	c := clientIn(t, "labworkloads", namespace)
	workload, err := c.Create(t.Context(), labWorkload(t, "{mfa: {}, training: {courses: [a]}}"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	condition := func(kind, status string) any {
		return map[string]any{"type": kind, "status": status, "reason": "A", "message": "", "lastTransitionTime": "2026-11-23T00:00:00Z"}
	}
	workload.Object["status"] = map[string]any{"conditions": []any{condition("MFAEnforced", "Unknown"), condition("StaffTrained", "False")}}
	if _, err := c.UpdateStatus(t.Context(), workload, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	for columns, want := range map[string]string{
		"":     "NAME COMPLIANT ENFORCEMENT NETWORK TRANSIT MFA IMAGES STALE-AT AGE",
		"wide": "NAME COMPLIANT ENFORCEMENT NETWORK TRANSIT MFA IMAGES STALE-AT AGE TRAINING READY OLDEST-IMAGE CERTIFICATE-EXPIRES HELD",
	} {
		printed, err := cluster.Kubectl(t, "get", "labworkloads", "-n", namespace, "-o", columns)
		if err != nil {
			t.Fatal(err)
		}
		header, row, _ := strings.Cut(printed, "\n")
		if got := strings.Join(strings.Fields(header), " "); got != want {
			t.Errorf("kubectl get -o %q shows the columns %s, want %s", columns, got, want)
		}
		for column, answer := range map[string]string{"MFA": "Unknown", "TRAINING": "False"} {
			if at := strings.Index(header, column); at >= 0 && !strings.HasPrefix(row[at:], answer) {
				t.Errorf("the column %s is not %s:\n%s", column, answer, printed)
			}
		}
	}
}
