// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/labguard/labguard/api/v1alpha1"
)

var resource = schema.GroupResource{Group: "labguard.dev", Resource: "breakglassuses"}

// shelf keeps uses, and is asked by ann.
type shelf struct {
	uses    []v1alpha1.BreakGlassUse
	refusal error
	nobody  error
}

func (s *shelf) list(_ context.Context, namespace string) ([]v1alpha1.BreakGlassUse, error) {
	var found []v1alpha1.BreakGlassUse
	for _, use := range s.uses {
		if namespace == "" || use.Namespace == namespace {
			found = append(found, use)
		}
	}
	return found, nil
}

func (s *shelf) get(_ context.Context, namespace, name string) (*v1alpha1.BreakGlassUse, error) {
	for _, use := range s.uses {
		if use.Namespace == namespace && use.Name == name {
			return use.DeepCopy(), nil
		}
	}
	return nil, apierrors.NewNotFound(resource, name)
}

func (s *shelf) whoAmI(context.Context) (string, error) { return "ann", s.nobody }

func (s *shelf) acknowledge(_ context.Context, use *v1alpha1.BreakGlassUse, acknowledgement v1alpha1.BreakGlassAcknowledgement) error {
	if s.refusal != nil {
		return s.refusal
	}
	for i := range s.uses {
		if s.uses[i].Namespace == use.Namespace && s.uses[i].Name == use.Name {
			s.uses[i].Spec.Acknowledgement = &acknowledgement
		}
	}
	return nil
}

// useOf is a use of so many requests that ended some minutes before noon.
func useOf(namespace, name string, count int64, minutes int) v1alpha1.BreakGlassUse {
	last := noon.Add(-time.Duration(minutes) * time.Minute)
	use := v1alpha1.BreakGlassUse{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	use.Spec = v1alpha1.BreakGlassUseSpec{
		User: "sealed", First: metav1.NewTime(last.Add(-time.Minute)), Last: metav1.NewTime(last), Count: count,
		Requests: []v1alpha1.BreakGlassRequest{
			{At: metav1.NewTime(last.Add(-time.Minute)), Operation: "CONNECT", Resource: "pods/exec", Name: "lis-0"},
			{At: metav1.NewTime(last), Operation: "CREATE", Resource: "pods"},
		},
	}
	return use
}

func acknowledged(use v1alpha1.BreakGlassUse) v1alpha1.BreakGlassUse {
	use.Spec.Acknowledgement = &v1alpha1.BreakGlassAcknowledgement{By: "ben", Reason: "INC-4711"}
	return use
}

func longWinded(use v1alpha1.BreakGlassUse) v1alpha1.BreakGlassUse {
	use = acknowledged(use)
	use.Spec.Acknowledgement.Reason = strings.TrimSpace(strings.Repeat("and so on ", 100))
	return use
}

func TestOpenUsesAreListedFirstAndTheNewestAtTheTop(t *testing.T) {
	t.Parallel()
	s := newSession()
	store := &shelf{uses: []v1alpha1.BreakGlassUse{
		acknowledged(useOf("pathology", "sealed-1", 1, 5)), longWinded(useOf("pathology", "sealed-4", 1, 6)), useOf("pathology", "sealed-2", 2, 90), useOf("radiology", "sealed-3", 30, 10),
	}}
	if err := s.listUses(t.Context(), store, ""); err != nil {
		t.Fatal(err)
	}
	expect(t, "the list", s.out.String(), `
		NAMESPACE   NAME       USER     REQUESTS   FIRST                  LAST                   ACKNOWLEDGED-BY   REASON
		radiology   sealed-3   sealed   30         2026-11-26T11:49:00Z   2026-11-26T11:50:00Z   -                 -
		pathology   sealed-2   sealed   2          2026-11-26T10:29:00Z   2026-11-26T10:30:00Z   -                 -
		pathology   sealed-1   sealed   1          2026-11-26T11:54:00Z   2026-11-26T11:55:00Z   ben               INC-4711
		pathology   sealed-4   sealed   1          2026-11-26T11:53:00Z   2026-11-26T11:54:00Z   ben               and so on and so on and so on and so on and so on and so ...
		`)
	expect(t, "what to do", s.err.String(), `

		2 uses are open. Look into each, and then: kubectl labguard break-glass acknowledge NAME -n NAMESPACE --reason '...'
		`)
}

func TestNoUsesAreSaidToBeNone(t *testing.T) {
	t.Parallel()
	for namespace, want := range map[string]string{"": "No uses of break glass.\n", "lab": "No uses of break glass in namespace lab.\n"} {
		s := newSession()
		if err := s.listUses(t.Context(), &shelf{}, namespace); err != nil || s.err.String() != want || s.out.Len() > 0 {
			t.Errorf("%q: %v, %q, %q", namespace, err, s.out, s.err)
		}
	}
}

func TestAUseIsShownWithItsRequests(t *testing.T) {
	t.Parallel()
	s := newSession()
	store := &shelf{uses: []v1alpha1.BreakGlassUse{useOf("radiology", "sealed-3", 30, 10)}}
	if err := s.showUse(t.Context(), store, "radiology", "sealed-3"); err != nil {
		t.Fatal(err)
	}
	expect(t, "the use", s.out.String(), `
		NAMESPACE   NAME       USER     REQUESTS   FIRST                  LAST                   ACKNOWLEDGED-BY   REASON
		radiology   sealed-3   sealed   30         2026-11-26T11:49:00Z   2026-11-26T11:50:00Z   -                 -

		TIME                   OPERATION   RESOURCE    NAME
		2026-11-26T11:49:00Z   CONNECT     pods/exec   lis-0
		2026-11-26T11:50:00Z   CREATE      pods        -
		and 28 more, of which the audit log knows
		`)
	if err := s.showUse(t.Context(), store, "pathology", "sealed-3"); err == nil || !apierrors.IsNotFound(err) {
		t.Errorf("a use of another namespace: %v", err)
	}
}

func TestAcknowledgingSaysWhatWasAcknowledgedAndByWhom(t *testing.T) {
	t.Parallel()
	s := newSession()
	store := &shelf{uses: []v1alpha1.BreakGlassUse{useOf("pathology", "sealed-2", 2, 90)}}
	if err := s.acknowledgeUse(t.Context(), store, "pathology", "sealed-2", " INC-4711: login was down\n"); err != nil {
		t.Fatal(err)
	}
	want := &v1alpha1.BreakGlassAcknowledgement{By: "ann", Reason: "INC-4711: login was down"}
	if diff := cmp.Diff(want, store.uses[0].Spec.Acknowledgement); diff != "" {
		t.Errorf("the acknowledgement (-want +got):\n%s", diff)
	}
	expect(t, "what is printed", s.out.String(), `
		NAMESPACE   NAME       USER     REQUESTS   FIRST                  LAST                   ACKNOWLEDGED-BY   REASON
		pathology   sealed-2   sealed   2          2026-11-26T10:29:00Z   2026-11-26T10:30:00Z   ann               INC-4711: login was down

		TIME                   OPERATION   RESOURCE    NAME
		2026-11-26T10:29:00Z   CONNECT     pods/exec   lis-0
		2026-11-26T10:30:00Z   CREATE      pods        -
		`)
}

func TestWhatIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	open := useOf("pathology", "sealed-2", 2, 90)
	for name, c := range map[string]struct {
		store  shelf
		reason string
		want   string
	}{
		"a reason that says nothing":     {reason: " ok ", want: "the reason has 2 characters: write 3 to 1024, such as 'INC-4711: login provider was down'"},
		"a reason without an end":        {reason: strings.Repeat("x", 1025), want: "the reason has 1025 characters: write 3 to 1024, such as 'INC-4711: login provider was down'"},
		"a reason that moves the cursor": {reason: "fine\x1b[2J", want: "the reason has control characters: write it in one line"},
		"a use that is not there":        {want: `get breakglassuses in namespace pathology: breakglassuses.labguard.dev "sealed-2" not found`},
		"a use that was looked into":     {store: shelf{uses: []v1alpha1.BreakGlassUse{acknowledged(open)}}, want: "ben has acknowledged it already: INC-4711"},
		"by somebody who is not known":   {store: shelf{uses: []v1alpha1.BreakGlassUse{open}, nobody: errors.New("ask: no")}, want: "ask: no"},
		"by somebody who must not":       {store: shelf{uses: []v1alpha1.BreakGlassUse{open}, refusal: apierrors.NewForbidden(resource, "sealed-2", errors.New("no right"))}, want: `acknowledge breakglassuses in namespace pathology: breakglassuses.labguard.dev "sealed-2" is forbidden: no right`},
		"a use that has more by now": {
			store: shelf{uses: []v1alpha1.BreakGlassUse{open}, refusal: apierrors.NewConflict(resource, "sealed-2", errors.New("changed"))},
			want:  "it has changed since you asked, so nothing is acknowledged: look at it again with kubectl labguard break-glass list -n pathology sealed-2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSession()
			reason := c.reason
			if reason == "" {
				reason = "INC-4711"
			}
			if err := s.acknowledgeUse(t.Context(), &c.store, "pathology", "sealed-2", reason); err == nil || err.Error() != c.want || s.out.Len() > 0 {
				t.Errorf("it says %v and prints %q, want %q", err, s.out, c.want)
			}
		})
	}
}

// auditEvent is a line of an audit log: an exec of a member of a group into a pod, so many minutes before noon.
func auditEvent(id, namespace, group string, minutes int, annotation string) string {
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":%q,"stage":"ResponseComplete",`+
		`"requestURI":"/api/v1/namespaces/%s/pods/lis-0/exec","verb":"create","user":{"username":"sealed","groups":[%q]},`+
		`"objectRef":{"resource":"pods","namespace":%q,"name":"lis-0","apiVersion":"v1","subresource":"exec"},"responseStatus":{"metadata":{},"code":101},`+
		`"requestReceivedTimestamp":%q,"annotations":{%s}}`+"\n", id, namespace, group, namespace,
		noon.Add(-time.Duration(minutes)*time.Minute).Format(time.RFC3339Nano), annotation)
}

func TestUsesAreFoundInAnAuditLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	text := auditEvent("a", "pathology", "labguard:break-glass", 90, "") +
		auditEvent("b", "radiology", "labguard:break-glass", 30, `"break-glass.people.labguard.dev/decision":"allowed"`) +
		auditEvent("c", "pathology", "system:masters", 20, "") + auditEvent("d", "pathology", "site:emergency", 10, "")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ args, out, err string }{
		"all": {
			out: `
				TIME                   USER     NAMESPACE   VERB     OBJECT            CODE   LABGUARD
				2026-11-26T10:30:00Z   sealed   pathology   create   pods/lis-0/exec   101    -
				2026-11-26T11:30:00Z   sealed   radiology   create   pods/lis-0/exec   101    seen
				`,
			err: "\n\n2 requests of members of labguard:break-glass in 4 events; labguard did not see 1.\n",
		},
		"of the last hour": {
			args: "--since 1h",
			out: `
				TIME                   USER     NAMESPACE   VERB     OBJECT            CODE   LABGUARD
				2026-11-26T11:30:00Z   sealed   radiology   create   pods/lis-0/exec   101    seen
				`,
			err: "\n\n1 request of members of labguard:break-glass in 4 events; labguard did not see 0.\n",
		},
		"of one namespace, and the log is given twice": {
			args: "-n pathology --audit-log " + file,
			out: `
				TIME                   USER     NAMESPACE   VERB     OBJECT            CODE   LABGUARD
				2026-11-26T10:30:00Z   sealed   pathology   create   pods/lis-0/exec   101    -
				`,
			err: "\n\n1 request of members of labguard:break-glass in 8 events; labguard did not see 1.\n",
		},
		"of another group": {
			args: "--group site:emergency",
			out: `
				TIME                   USER     NAMESPACE   VERB     OBJECT            CODE   LABGUARD
				2026-11-26T11:50:00Z   sealed   pathology   create   pods/lis-0/exec   101    -
				`,
			err: "\n\n1 request of members of site:emergency in 4 events; labguard did not see 1.\n",
		},
		"none": {args: "-n nowhere", err: "No request of members of labguard:break-glass in 4 events.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			out, errOut, err := command(t, "", append([]string{"break-glass", "find", "--audit-log", file}, strings.Fields(c.args)...)...)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, "the list", out, c.out)
			expect(t, "the summary", errOut, c.err)
		})
	}
}

func TestAnAuditLogThatCannotBeReadAsAWholeIsAnError(t *testing.T) {
	out, errOut, err := command(t, auditEvent("a", "pathology", "labguard:break-glass", 90, "")+"{\n", "break-glass", "find", "--audit-log", "-")
	if err == nil || err.Error() != "1 line could not be read: the list may lack something" {
		t.Error(err)
	}
	if !strings.Contains(out, "pods/lis-0/exec") || !strings.Contains(errOut, "-: line 2 is no JSON of an audit event") {
		t.Errorf("it prints %q and %q", out, errOut)
	}
}
