// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/labguard/labguard/internal/testutil/cluster"
)

// annotationsOf are those that the audit log has of the webhook's answers to a user, without what the API server puts in front of the keys. A request that
// is refused at once is there as a whole, one that goes on has a second event when its answer begins.
func annotationsOf(l *lab, webhook, user string) ([]map[string]string, error) {
	l.Helper()
	file, err := os.Open(cluster.AuditLog())
	if err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	defer func() { _ = file.Close() }()
	var found []map[string]string
	for lines := bufio.NewReader(file); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return found, nil // the end, or a line that is being written
		}
		var event struct {
			Stage            string
			ImpersonatedUser struct{ Username string }
			ObjectRef        struct{ Namespace string }
			Annotations      map[string]string
		}
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("read the audit log: %w", err)
		}
		if event.Stage != "ResponseComplete" || event.ImpersonatedUser.Username != user || event.ObjectRef.Namespace != l.Namespace {
			continue
		}
		of := map[string]string{}
		for key, value := range event.Annotations {
			if name, ours := strings.CutPrefix(key, webhook+".people.labguard.dev/"); ours {
				of[name] = value
			}
		}
		found = append(found, of)
	}
}

// TestEveryAnswerIsInTheAuditLog: with it somebody can tell afterwards who got in, and why.
func TestEveryAnswerIsInTheAuditLog(t *testing.T) {
	l := newLab(t)
	l.install(admissionv1.Fail)
	named := func(user who, name string) who {
		user.UserName = name
		return user
	}
	asked := map[string]string{"cover": "Access", "kind": "Person", "requirements": "lis"}
	for name, test := range map[string]struct {
		user    who
		pod     string
		webhook string
		want    map[string]string
	}{
		"let in":               {named(l.mia(), "oidc:trained"), "lis-0", "access", map[string]string{"decision": "allowed", "reason": "Proven"}},
		"refused":              {named(l.with("amr", "pwd"), "oidc:password"), "lis-0", "access", map[string]string{"decision": "refused", "reason": "MethodsMissing"}},
		"untrained":            {named(l.with("subject", "eve"), "oidc:eve"), "lis-0", "access", map[string]string{"decision": "refused", "reason": "TrainingMissing"}},
		"nothing is asked for": {named(l.mia(), "oidc:elsewhere"), "other-0", "access", map[string]string{"decision": "allowed", "reason": "NotRequired", "requirements": ""}},
		"an emergency": {who{UserName: "sealed", Groups: []string{breakGlass, masters}}, "lis-0", "break-glass", map[string]string{
			"decision": "allowed", "reason": "BreakGlass", "requirements": "",
		}},
	} {
		t.Run(name, func(*testing.T) {
			_ = l.exec(test.user, test.pod) // it fails in any case, as the pod does not run
			want := maps.Clone(asked)
			maps.Copy(want, test.want)
			maps.DeleteFunc(want, func(_, value string) bool { return value == "" })
			var got []map[string]string
			l.Eventually("the audit log has the request", func(context.Context) (bool, error) {
				var err error
				got, err = annotationsOf(l, test.webhook, test.user.UserName)
				return len(got) > 0, err
			})
			if diff := cmp.Diff([]map[string]string{want}, got); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
		})
	}
}
