// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package auditlog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/apis/audit/install"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/labguard/labguard/internal/auditlog"
)

const group = "labguard:break-glass"

var night = time.Date(2026, time.November, 26, 3, 12, 9, 123456000, time.UTC)

// emergency is the end of an exec by a member of the group, with some changes.
func emergency(changes ...func(*auditinternal.Event)) auditinternal.Event {
	e := auditinternal.Event{
		Level: auditinternal.LevelMetadata, AuditID: "a", Stage: auditinternal.StageResponseComplete, Verb: "create",
		RequestURI:               "/api/v1/namespaces/pathology/pods/lis-0/exec?command=sh",
		User:                     authenticationv1.UserInfo{Username: "sealed", Groups: []string{"system:authenticated", group}},
		ObjectRef:                &auditinternal.ObjectReference{Resource: "pods", Namespace: "pathology", Name: "lis-0", APIVersion: "v1", Subresource: "exec"},
		ResponseStatus:           &metav1.Status{Code: 101},
		RequestReceivedTimestamp: metav1.NewMicroTime(night), StageTimestamp: metav1.NewMicroTime(night),
	}
	for _, change := range changes {
		change(&e)
	}
	return e
}

// object is a change of what the request is about.
func object(verb, group, resource, name, subresource string) func(*auditinternal.Event) {
	return func(e *auditinternal.Event) {
		e.Verb = verb
		e.ObjectRef = &auditinternal.ObjectReference{Resource: resource, Namespace: "pathology", Name: name, APIGroup: group, APIVersion: "v1", Subresource: subresource}
	}
}

// text writes events as the log backend of the API server does.
func text(t *testing.T, events ...auditinternal.Event) string {
	t.Helper()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	encoder := serializer.NewCodecFactory(scheme).LegacyCodec(auditv1.SchemeGroupVersion)
	var lines strings.Builder
	for i := range events {
		line, err := runtime.Encode(encoder, &events[i])
		if err != nil {
			t.Fatal(err)
		}
		lines.WriteString(strings.TrimSpace(string(line)) + "\n")
	}
	return lines.String()
}

// find reads one file.
func find(t *testing.T, query auditlog.Query, file string) *auditlog.Finder {
	t.Helper()
	query.Group = group
	finder := auditlog.NewFinder(query)
	if err := finder.Read("audit.log", strings.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	return finder
}

func theUse() auditlog.Use {
	return auditlog.Use{At: night, User: "sealed", Verb: "create", Namespace: "pathology", Object: "pods/lis-0/exec", Code: 101}
}

func used(change func(*auditlog.Use)) auditlog.Use {
	use := theUse()
	change(&use)
	return use
}

func TestWhatIsAUse(t *testing.T) {
	t.Parallel()
	none := []auditlog.Use{}
	for name, c := range map[string]struct {
		events []auditinternal.Event
		want   []auditlog.Use
	}{
		"an exec": {events: []auditinternal.Event{emergency()}, want: []auditlog.Use{theUse()}},
		"somebody else's is none": {
			events: []auditinternal.Event{emergency(func(e *auditinternal.Event) {
				e.User.Groups = []string{"system:masters", group + "2", strings.ToUpper(group)}
			})}, want: none,
		},
		"a member as somebody else is that somebody": {
			events: []auditinternal.Event{emergency(func(e *auditinternal.Event) {
				e.ImpersonatedUser = &authenticationv1.UserInfo{Username: "ben", Groups: []string{"system:authenticated"}}
			})}, want: none,
		},
		"somebody who impersonates a member": {
			events: []auditinternal.Event{emergency(func(e *auditinternal.Event) {
				e.User = authenticationv1.UserInfo{Username: "admin"}
				e.ImpersonatedUser = &authenticationv1.UserInfo{Username: "sealed", Groups: []string{group}}
			})},
			want: []auditlog.Use{used(func(u *auditlog.Use) { u.Impersonator = "admin" })},
		},
		"one that was refused is listed, with the code": {
			events: []auditinternal.Event{emergency(func(e *auditinternal.Event) { e.ResponseStatus.Code = 403 })},
			want:   []auditlog.Use{used(func(u *auditlog.Use) { u.Code = 403 })},
		},
		"stages of one request are one": {
			events: []auditinternal.Event{
				emergency(func(e *auditinternal.Event) { e.Stage, e.ResponseStatus = auditinternal.StageRequestReceived, nil }),
				emergency(func(e *auditinternal.Event) { e.Stage = auditinternal.StageResponseStarted }),
				emergency(func(e *auditinternal.Event) { e.ResponseStatus.Code = 500 }),
			},
			want: []auditlog.Use{used(func(u *auditlog.Use) { u.Code = 500 })},
		},
		"in any order": {
			events: []auditinternal.Event{
				emergency(func(e *auditinternal.Event) { e.ResponseStatus.Code = 500 }),
				emergency(func(e *auditinternal.Event) { e.Stage = auditinternal.StageResponseStarted }),
			},
			want: []auditlog.Use{used(func(u *auditlog.Use) { u.Code = 500 })},
		},
		"one that has no answer yet": {
			events: []auditinternal.Event{emergency(func(e *auditinternal.Event) { e.Stage, e.ResponseStatus = auditinternal.StageRequestReceived, nil })},
			want:   []auditlog.Use{used(func(u *auditlog.Use) { u.Code = 0 })},
		},
		"the first stage does not know who is impersonated": {
			events: []auditinternal.Event{
				emergency(func(e *auditinternal.Event) { e.Stage = auditinternal.StageRequestReceived }),
				emergency(func(e *auditinternal.Event) { e.ImpersonatedUser = &authenticationv1.UserInfo{Username: "ben"} }),
			},
			want: none,
		},
		"two requests to which the client gave one ID are two": {
			events: []auditinternal.Event{emergency(), emergency(func(e *auditinternal.Event) {
				e.RequestURI, e.ObjectRef.Name = "/api/v1/namespaces/pathology/pods/lis-1/exec", "lis-1"
			})},
			want: []auditlog.Use{theUse(), used(func(u *auditlog.Use) { u.Object = "pods/lis-1/exec" })},
		},
		"the same request again is another": {
			events: []auditinternal.Event{emergency(), emergency(func(e *auditinternal.Event) {
				e.RequestReceivedTimestamp = metav1.NewMicroTime(night.Add(time.Microsecond))
			})},
			want: []auditlog.Use{theUse(), used(func(u *auditlog.Use) { u.At = night.Add(time.Microsecond) })},
		},
		"what labguard saw": {
			events: []auditinternal.Event{emergency(func(e *auditinternal.Event) {
				e.Annotations = map[string]string{"break-glass.people.labguard.dev/decision": "allowed"}
			})},
			want: []auditlog.Use{used(func(u *auditlog.Use) { u.Seen = true })},
		},
		"annotations of others say nothing": {
			events: []auditinternal.Event{emergency(func(e *auditinternal.Event) {
				e.Annotations = map[string]string{"authorization.k8s.io/decision": "allow", "notlabguard.dev/decision": "", "x.labguard.dev/reason": ""}
			})},
			want: []auditlog.Use{theUse()},
		},
		"a dry run": {
			events: []auditinternal.Event{emergency(object("create", "", "pods", "", ""), func(e *auditinternal.Event) {
				e.RequestURI = "/api/v1/namespaces/pathology/pods?dryRun=All&fieldManager=x"
			})},
			want: []auditlog.Use{used(func(u *auditlog.Use) { u.Object, u.DryRun = "pods", true })},
		},
		"a request about no object": {
			events: []auditinternal.Event{emergency(func(e *auditinternal.Event) { e.ObjectRef, e.RequestURI = nil, "/healthz" })}, want: none,
		},
		"sorted by time": {
			events: []auditinternal.Event{
				emergency(func(e *auditinternal.Event) { e.RequestReceivedTimestamp = metav1.NewMicroTime(night.Add(time.Hour)) }), emergency(),
			},
			want: []auditlog.Use{theUse(), used(func(u *auditlog.Use) { u.At = night.Add(time.Hour) })},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			finder := find(t, auditlog.Query{}, text(t, c.events...))
			if diff := cmp.Diff(c.want, finder.Uses()); diff != "" {
				t.Errorf("uses (-want +got):\n%s", diff)
			}
			if _, problems := finder.Problems(); problems > 0 || finder.Events() != len(c.events) {
				t.Errorf("%d events of %d, %d problems", finder.Events(), len(c.events), problems)
			}
		})
	}
}

func TestWhichPathsAreCovered(t *testing.T) {
	t.Parallel()
	for request, want := range map[string]string{
		"create pods exec":                                     "pods/x/exec",
		"get pods exec":                                        "pods/x/exec",
		"get pods attach":                                      "pods/x/attach",
		"create pods portforward":                              "pods/x/portforward",
		"delete pods proxy":                                    "pods/x/proxy",
		"patch services proxy":                                 "services/x/proxy",
		"patch pods ephemeralcontainers":                       "pods/x/ephemeralcontainers",
		"get pods ephemeralcontainers":                         "",
		"create serviceaccounts token":                         "serviceaccounts/x/token",
		"get pods":                                             "",
		"list pods":                                            "",
		"get pods log":                                         "",
		"get secrets":                                          "",
		"update secrets":                                       "",
		"delete pods":                                          "pods/x",
		"deletecollection pods":                                "pods/x",
		"update pods status":                                   "",
		"create pods eviction":                                 "",
		"patch services":                                       "services/x",
		"update endpoints":                                     "endpoints/x",
		"create replicationcontrollers":                        "replicationcontrollers/x",
		"patch apps:deployments":                               "deployments.apps/x",
		"patch apps:deployments scale":                         "",
		"update apps:replicasets":                              "replicasets.apps/x",
		"create apps:statefulsets":                             "statefulsets.apps/x",
		"delete apps:daemonsets":                               "daemonsets.apps/x",
		"create apps:pods exec":                                "",
		"create podtemplates":                                  "",
		"patch argoproj.io:rollouts":                           "rollouts.argoproj.io/x",
		"create batch:jobs":                                    "jobs.batch/x",
		"update batch:cronjobs":                                "cronjobs.batch/x",
		"create discovery.k8s.io:endpointslices":               "endpointslices.discovery.k8s.io/x",
		"delete networking.k8s.io:networkpolicies":             "networkpolicies.networking.k8s.io/x",
		"create rbac.authorization.k8s.io:rolebindings":        "rolebindings.rbac.authorization.k8s.io/x",
		"create rbac.authorization.k8s.io:clusterrolebindings": "",
		"patch labguard.dev:labworkloads":                      "labworkloads.labguard.dev/x",
		"patch labguard.dev:labworkloads status":               "",
		"patch labguard.dev:breakglassuses":                    "breakglassuses.labguard.dev/x",
	} {
		t.Run(request, func(t *testing.T) {
			t.Parallel()
			words := append(strings.Fields(request), "")
			apiGroup, resource, grouped := strings.Cut(words[1], ":")
			if !grouped {
				apiGroup, resource = "", words[1]
			}
			uses := find(t, auditlog.Query{}, text(t, emergency(object(words[0], apiGroup, resource, "x", words[2])))).Uses()
			got := ""
			if len(uses) == 1 {
				got = uses[0].Object
			}
			if got != want || len(uses) > 1 {
				t.Errorf("found %+v, want %q", uses, want)
			}
		})
	}
}

func TestOnlyWhatIsAskedForIsFound(t *testing.T) {
	t.Parallel()
	file := text(t, emergency(),
		emergency(func(e *auditinternal.Event) { e.AuditID, e.ObjectRef.Namespace = "b", "radiology" }),
		emergency(func(e *auditinternal.Event) {
			e.RequestReceivedTimestamp = metav1.NewMicroTime(night.Add(-time.Second))
		}))
	for name, c := range map[string]struct {
		query auditlog.Query
		want  int
	}{
		"everything":                {query: auditlog.Query{}, want: 3},
		"one namespace":             {query: auditlog.Query{Namespace: "radiology"}, want: 1},
		"from this very instant on": {query: auditlog.Query{Since: night}, want: 2},
		"from later on":             {query: auditlog.Query{Since: night.Add(time.Microsecond)}, want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := len(find(t, c.query, file).Uses()); got != c.want {
				t.Errorf("%d uses, want %d", got, c.want)
			}
		})
	}
}

func TestALineThatIsNoEventIsReportedAndTheOthersAreRead(t *testing.T) {
	t.Parallel()
	long := `{"kind": "` + strings.Repeat("x", auditlog.MaxLine) + `"}`
	file := "\n" + text(t, emergency()) + "{\n" + `{"apiVersion": "v1", "kind": "Event"}` + "\n" + long + "\n" +
		strings.TrimSpace(text(t, emergency(func(e *auditinternal.Event) { e.AuditID = "b" })))
	finder := find(t, auditlog.Query{}, file)
	problems, all := finder.Problems()
	var got []string
	for _, p := range problems {
		got = append(got, p.String())
	}
	want := []string{
		"audit.log: line 3 is no JSON of an audit event",
		"audit.log: line 4 is no Event of audit.k8s.io/v1",
		"audit.log: line 5 is longer than 16 MiB",
	}
	if diff := cmp.Diff(want, got); diff != "" || all != len(want) {
		t.Errorf("%d problems (-want +got):\n%s", all, diff)
	}
	if uses := finder.Uses(); len(uses) != 2 || finder.Events() != 2 {
		t.Errorf("of %d events: %v", finder.Events(), uses)
	}
}

func TestProblemsHaveAnEnd(t *testing.T) {
	t.Parallel()
	problems, all := find(t, auditlog.Query{}, strings.Repeat("x\n", 500)).Problems()
	if len(problems) != auditlog.MaxProblems || all != 500 {
		t.Errorf("%d of %d problems", len(problems), all)
	}
}

func TestSeveralFilesAreOneLog(t *testing.T) {
	t.Parallel()
	finder := auditlog.NewFinder(auditlog.Query{Group: group})
	for _, e := range []auditinternal.Event{
		emergency(func(e *auditinternal.Event) { e.Stage = auditinternal.StageResponseStarted }), emergency(func(e *auditinternal.Event) { e.ResponseStatus.Code = 200 }),
	} {
		if err := finder.Read("a", strings.NewReader(text(t, e))); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]auditlog.Use{used(func(u *auditlog.Use) { u.Code = 200 })}, finder.Uses()); diff != "" {
		t.Error(diff)
	}
}

func TestAFileThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	finder := auditlog.NewFinder(auditlog.Query{Group: group})
	source := io.MultiReader(strings.NewReader(text(t, emergency())), iotest.ErrReader(errors.New("the disk is gone")))
	if err := finder.Read("audit.log", source); err == nil || err.Error() != "read audit.log: the disk is gone" || len(finder.Uses()) != 1 {
		t.Errorf("%v, %v", err, finder.Uses())
	}
}

func FuzzRead(f *testing.F) {
	event, err := json.Marshal(map[string]any{
		"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "a", "stage": "ResponseComplete", "verb": "create", "requestURI": "/x?dryRun=All",
		"user": map[string]any{"username": "sealed\x1b[2J", "groups": []string{group}}, "objectRef": map[string]any{"resource": "pods", "name": "x", "subresource": "exec"},
		"responseStatus": map[string]any{"code": 101}, "requestReceivedTimestamp": "2026-11-26T03:12:09.123456Z",
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "\n\n", string(event), string(event) + "\n" + string(event), "{}\n[]\nnull\n", strings.Replace(string(event), "101", `"101"`, 1)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		finder := auditlog.NewFinder(auditlog.Query{Group: group})
		if err := finder.Read("f", strings.NewReader(string(file))); err != nil {
			t.Fatal(err)
		}
		first, all := finder.Problems()
		if lines := strings.Count(string(file), "\n") + 1; finder.Events()+all > lines || len(finder.Uses()) > finder.Events() || len(first) > all {
			t.Fatalf("of %d lines: %d events, %d uses, %d problems", lines, finder.Events(), len(finder.Uses()), all)
		}
		for _, use := range finder.Uses() {
			if use.Object == "" || use.Verb == "" {
				t.Fatalf("a use of nothing: %+v", use)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	line := `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"%d","stage":"ResponseComplete","requestURI":"/api/v1/x","verb":"get",` +
		`"user":{"username":"ann","groups":["a","b"]},"objectRef":{"resource":"pods","name":"x"},"responseObject":"` + strings.Repeat("x", 1000) + `"}` + "\n"
	var file strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&file, line, i)
	}
	b.SetBytes(int64(file.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if err := auditlog.NewFinder(auditlog.Query{Group: group}).Read("f", strings.NewReader(file.String())); err != nil {
			b.Fatal(err)
		}
	}
}
