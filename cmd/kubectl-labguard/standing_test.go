// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	testclock "k8s.io/utils/clock/testing"

	"github.com/labguard/labguard/api/v1alpha1"
)

const (
	labPath   = "GET /apis/labguard.dev/v1alpha1"
	listed    = labPath + "/namespaces/pathology/labworkloads?limit=1000"
	recorded  = labPath + "/namespaces/pathology/rolloutrecords?limit=1000"
	theObject = "GET /apis/apps/v1/namespaces/pathology/deployments/lis"
	stale     = "registry.example/lab/lis:1.9"
)

var staleDigest = "sha256:" + strings.Repeat("a", 64)

func labKind(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: "labguard.dev/v1alpha1", Kind: kind}
}

func days(count int) *metav1.Time { return &metav1.Time{Time: noon.AddDate(0, 0, count)} }

// pathology is a cluster with one LabWorkload, which holds a Deployment for an old image.
func pathology() map[string]any {
	lis := v1alpha1.LabWorkload{TypeMeta: labKind("LabWorkload"), ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis"}}
	lis.Spec = v1alpha1.LabWorkloadSpec{
		Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}}, Enforcement: v1alpha1.EnforcementEnforce,
		Images: &v1alpha1.ImagesSpec{MaxAge: "2160h", OnStale: v1alpha1.OnStaleHold}, Training: &v1alpha1.TrainingSpec{Courses: []v1alpha1.Course{"phishing-basics"}},
	}
	lis.Status = v1alpha1.LabWorkloadStatus{
		HeldCount: 1, Held: []v1alpha1.HeldRollout{{Kind: "Deployment", Name: "lis", Reason: v1alpha1.ReasonRolloutHeld, Images: []string{stale}, Since: days(-2)}},
		ImageCount: 1, Images: []v1alpha1.ImageStatus{{Reference: "registry.example/lab/lis:2.4", Answer: "Fresh", Reason: "ImageFresh", StaleAt: days(9), Declared: true}},
		Conditions: []metav1.Condition{{Type: v1alpha1.ConditionCompliant, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAllTrue, LastTransitionTime: *days(-3)}},
	}
	record := v1alpha1.RolloutRecord{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "deployment-lis"}, Spec: v1alpha1.RolloutRecordSpec{
		Root: &v1alpha1.RootReference{Kind: "Deployment", Name: "lis"}, Held: &v1alpha1.Hold{Since: *days(-2), Images: []string{stale}},
	}}
	deployment := appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis", Annotations: map[string]string{v1alpha1.HoldAnnotation: `{"paused":null}`}},
		Spec: appsv1.DeploymentSpec{Paused: true, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "lis"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "lis", Image: stale}}},
		}},
	}
	image := v1alpha1.ImageRecord{TypeMeta: labKind("ImageRecord"), ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.ImageRecordName(staleDigest)}, Spec: v1alpha1.ImageRecordSpec{
		Digest: staleDigest, Reference: stale, FirstSeen: *days(-100), Image: &v1alpha1.ImageContent{Platform: "linux/amd64", Created: days(-120)},
	}}
	person := v1alpha1.TrainingRecord{Spec: v1alpha1.TrainingRecordSpec{
		Subject: "ann", Issuer: "https://login.lab.example", Course: "phishing-basics", Completed: *days(-300), Expires: days(12),
	}}
	workloads := v1alpha1.LabWorkloadList{TypeMeta: labKind("LabWorkloadList"), Items: []v1alpha1.LabWorkload{lis}}
	return map[string]any{
		listed: workloads, labPath + "/labworkloads?limit=1000": workloads, labPath + "/namespaces/pathology/labworkloads/lis": lis,
		recorded:                                     v1alpha1.RolloutRecordList{TypeMeta: labKind("RolloutRecordList"), Items: []v1alpha1.RolloutRecord{record}},
		theObject:                                    deployment,
		labPath + "/imagerecords?limit=1000":         v1alpha1.ImageRecordList{TypeMeta: labKind("ImageRecordList"), Items: []v1alpha1.ImageRecord{image}},
		labPath + "/imagerecords/" + image.Name:      image,
		labPath + "/trainingrecords?limit=1000":      v1alpha1.TrainingRecordList{TypeMeta: labKind("TrainingRecordList"), Items: []v1alpha1.TrainingRecord{person}},
		"GET /api/v1/namespaces/pathology":           corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: "pathology"}},
		"GET /api/v1/nodes?limit=1000":               corev1.NodeList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}},
		"GET /api/v1/namespaces/pathology/services?": corev1.ServiceList{},
	}
}

// asking runs a command against a cluster with some answers.
func asking(t *testing.T, handler http.Handler, ask func(context.Context, session, reader) error) (session, error) {
	t.Helper()
	listener := httptest.NewServer(handler)
	t.Cleanup(listener.Close)
	from, err := newReader(&rest.Config{Host: listener.URL})
	if err != nil {
		t.Fatal(err)
	}
	s := newSession()
	err = ask(t.Context(), s, from)
	return s, err
}

func TestAStatusIsReadAndPrinted(t *testing.T) {
	t.Parallel()
	for what, ask := range map[string]func(context.Context, session, reader) error{
		"all":         func(ctx context.Context, s session, r reader) error { return s.status(ctx, r, "", nil, "") },
		"a namespace": func(ctx context.Context, s session, r reader) error { return s.status(ctx, r, "pathology", nil, "") },
		"one": func(ctx context.Context, s session, r reader) error {
			return s.status(ctx, r, "pathology", []string{"lis"}, "")
		},
		"for programs": func(ctx context.Context, s session, r reader) error { return s.status(ctx, r, "", nil, "json") },
	} {
		s, err := asking(t, &server{answers: pathology()}, ask)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if what == "for programs" {
			var got struct{ LabWorkloads []struct{ Name string } }
			if err := json.Unmarshal(s.out.Bytes(), &got); err != nil || len(got.LabWorkloads) != 1 || got.LabWorkloads[0].Name != "lis" {
				t.Errorf("%v: %s", err, s.out)
			}
			continue
		}
		expect(t, what, s.out.String(), "\n"+
			"pathology/lis complies\n"+
			"  Unknown StaffTrained NotLookedAt: labguard has not answered yet: is it running?\n"+
			"  Unknown ImagesFresh NotLookedAt: labguard has not answered yet: is it running?\n"+
			"    Fresh registry.example/lab/lis:2.4, declared and in no pod [until 2026-12-05T12:00:00Z, in 9 days]\n"+
			"  1 rollout held: kubectl labguard held -n pathology\n")
	}
}

func TestWhatDoesNotComplyIsAnExitCode(t *testing.T) {
	t.Parallel()
	answers := pathology()
	list, _ := answers[listed].(v1alpha1.LabWorkloadList)
	list.Items = append(list.Items, v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "gw"}})
	answers[listed] = list
	status := func(ctx context.Context, s session, r reader) error { return s.status(ctx, r, "pathology", nil, "") }
	s, err := asking(t, &server{answers: answers}, status)
	if err == nil || err.Error() != "1 of 2 LabWorkloads are not known to comply" || exitCode(err) != exitBad || !strings.HasPrefix(s.out.String(), "pathology/gw nobody knows whether it complies\n") {
		t.Errorf("%v\n%s", err, s.out)
	}
	answers[listed] = v1alpha1.LabWorkloadList{TypeMeta: labKind("LabWorkloadList")}
	s, err = asking(t, &server{answers: answers}, status)
	if err != nil || s.err.String() != "No LabWorkloads in namespace pathology.\n" || s.out.Len() > 0 {
		t.Errorf("%v\n%s%s", err, s.out, s.err)
	}
}

func TestHeldRolloutsAreExplained(t *testing.T) {
	t.Parallel()
	held := func(ctx context.Context, s session, r reader) error { return s.held(ctx, r, "pathology", "") }
	s, err := asking(t, &server{answers: pathology()}, held)
	if err == nil || err.Error() != "1 rollout is held" || exitCode(err) != exitBad {
		t.Error(err)
	}
	for _, want := range []string{
		"pathology deployment/lis RolloutHeld since 2026-11-24T12:00:00Z, 2 days ago\n  why: container lis: image " + stale, "is stale: made 2026-07-29 (Config), 120 days ago",
		"\n  do: push a fresh build",
	} {
		if !strings.Contains(s.out.String(), want) {
			t.Errorf("%s\nlacks %s", s.out, want)
		}
	}
	answers := pathology()
	delete(answers, theObject)
	s, err = asking(t, &server{answers: answers}, held)
	if err == nil || !strings.HasPrefix(s.err.String(), "Not all is known of why: there is no Deployment lis in namespace pathology") || !strings.Contains(s.out.String(), "waits for "+stale) {
		t.Errorf("%v\n%s%s", err, s.out, s.err)
	}
	answers[listed], answers[recorded] = v1alpha1.LabWorkloadList{TypeMeta: labKind("LabWorkloadList")}, v1alpha1.RolloutRecordList{TypeMeta: labKind("RolloutRecordList")}
	s, err = asking(t, &server{answers: answers}, held)
	if err != nil || s.err.String() != "Nothing is held in namespace pathology.\n" {
		t.Errorf("%v\n%s%s", err, s.out, s.err)
	}
	s, err = asking(t, &server{answers: answers}, func(ctx context.Context, s session, r reader) error { return s.held(ctx, r, "pathology", "json") })
	if err != nil || s.out.String() != "{\n  \"held\": []\n}\n" {
		t.Errorf("%v\n%s", err, s.out)
	}
}

func TestAForecastSaysWhatItLacks(t *testing.T) {
	t.Parallel()
	ask := func(ctx context.Context, s session, r reader) error { return s.forecast(ctx, r, "pathology", 30, "") }
	s, err := asking(t, &server{answers: pathology()}, ask)
	if err == nil || err.Error() != "2 things get worse within 30 days" || exitCode(err) != exitBad {
		t.Error(err)
	}
	expect(t, "the forecast", s.out.String(), `
		WHEN         AT           LABWORKLOAD     WHAT           OF                             NOTE
		in 9 days    2026-12-05   pathology/lis   ImageStale     registry.example/lab/lis:2.4   declared
		in 12 days   2026-12-08   pathology/lis   TrainingEnds   phishing-basics                1 person has to take it again
		`)
	answers := pathology()
	delete(answers, labPath+"/trainingrecords?limit=1000")
	s, err = asking(t, &server{answers: answers}, ask)
	if exitCode(err) != exitUnanswered || !strings.HasPrefix(s.err.String(), "Not looked at: training: the cluster does not know trainingrecords.labguard.dev") || !strings.Contains(s.out.String(), "ImageStale") {
		t.Errorf("%v\n%s%s", err, s.out, s.err)
	}
	answers = pathology()
	changed := answers[listed].(v1alpha1.LabWorkloadList)
	changed.Items[0].Generation = 1
	s, err = asking(t, &server{answers: answers}, ask)
	if exitCode(err) != exitUnanswered || !strings.Contains(s.err.String(), "Not looked at: pathology/lis: labguard has not looked at its latest spec yet") {
		t.Errorf("of the spec before: %v\n%s%s", err, s.out, s.err)
	}
	s, err = asking(t, &server{answers: pathology()}, func(ctx context.Context, s session, r reader) error { return s.forecast(ctx, r, "pathology", 5, "") })
	if err != nil || s.err.String() != "Time alone changes nothing until 2026-12-01.\n" {
		t.Errorf("%v\n%s%s", err, s.out, s.err)
	}
	s, err = asking(t, &server{answers: pathology()}, func(ctx context.Context, s session, r reader) error {
		return s.forecast(ctx, r, "pathology", 5, "json")
	})
	if want := "{\n  \"changes\": [],\n  \"missing\": [],\n  \"until\": \"2026-12-01T12:00:00Z\"\n}\n"; err != nil || s.out.String() != want {
		t.Errorf("%v\n%s", err, s.out)
	}
}

func TestAnObjectIsExplained(t *testing.T) {
	t.Parallel()
	ask := func(output string) func(context.Context, session, reader) error {
		return func(ctx context.Context, s session, r reader) error {
			return s.explainObject(ctx, r, &explainOptions{where: where{output: output}, days: 30}, kinds[0], "pathology", "lis")
		}
	}
	s, err := asking(t, &server{answers: pathology()}, ask(""))
	if err == nil || err.Error() != "deployment/lis would not roll out now" || !strings.HasPrefix(s.out.String(), "deployment/lis in pathology is held now\n") || s.err.Len() > 0 {
		t.Errorf("%v\n%s%s", err, s.out, s.err)
	}
	s, _ = asking(t, &server{answers: pathology()}, ask("json"))
	var got struct{ Now, Later struct{ Verdict string } }
	if err := json.Unmarshal(s.out.Bytes(), &got); err != nil || got.Now.Verdict != "Holds" || got.Later.Verdict != "Holds" {
		t.Errorf("%v\n%s", err, s.out)
	}
	answers := pathology()
	delete(answers, labPath+"/imagerecords?limit=1000")
	s, err = asking(t, &server{answers: answers}, ask(""))
	if exitCode(err) != exitBad || !strings.HasPrefix(s.err.String(), "Not all is known of the images: the cluster does not know imagerecords") || !strings.Contains(s.out.String(), "now: is held") {
		t.Errorf("%v\n%s%s", err, s.out, s.err)
	}
}

// Admission reads the image and refuses it if it is stale. That nobody has read it yet is no answer.
func TestAnImageThatNobodyHasReadIsNoAnswer(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]string{"registry.example/lab/lis:never": "how old registry.example/lab/lis:never is, is not known here", "registry.example/lab/lis:2.4": ""} {
		answers := pathology()
		answers["GET /api/v1/namespaces/pathology/pods/lis-0"] = corev1.Pod{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis-0", Labels: map[string]string{"app": "lis"}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "lis", Image: "registry.example/lab/lis:2.4"}}},
		}
		kind, err := kindNamed("pod")
		if err != nil {
			t.Fatal(err)
		}
		o := &explainOptions{days: 30}
		if want != "" {
			o.images = map[string]string{"lis": image}
		}
		s, err := asking(t, &server{answers: answers}, func(ctx context.Context, s session, r reader) error {
			return s.explainObject(ctx, r, o, kind, "pathology", "lis-0")
		})
		if want == "" && err != nil || want != "" && (err == nil || exitCode(err) != exitUnanswered || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v\n%s%s", image, err, s.out, s.err)
		}
	}
}

func TestTheAirlockOfAPodIsKnownByItsProfiles(t *testing.T) {
	t.Parallel()
	const airlock, profiles = "registry.example/labguard/airlock:1", labPath + "/namespaces/pathology/airlockprofiles?limit=1000"
	answers := pathology()
	pod := corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis-0", Labels: map[string]string{"app": "lis"}}}
	pod.Spec.InitContainers = []corev1.Container{{Name: "airlock", Image: airlock}}
	pod.Spec.Containers = []corev1.Container{{Name: "lis", Image: "registry.example/lab/lis:2.4"}}
	answers["GET /api/v1/namespaces/pathology/pods/lis-0"] = pod
	profile := v1alpha1.AirlockProfile{Spec: v1alpha1.AirlockProfileSpec{Known: []v1alpha1.AirlockRevision{{Image: airlock}}}}
	answers[profiles] = v1alpha1.AirlockProfileList{TypeMeta: labKind("AirlockProfileList"), Items: []v1alpha1.AirlockProfile{profile}}
	kind, err := kindNamed("pod")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(ctx context.Context, s session, r reader) error {
		return s.explainObject(ctx, r, &explainOptions{days: 30}, kind, "pathology", "lis-0")
	}
	s, err := asking(t, &server{answers: answers}, ask)
	if err != nil || strings.Contains(s.out.String(), airlock) || s.err.Len() > 0 {
		t.Errorf("%v\n%s%s", err, s.out, s.err)
	}
	delete(answers, profiles)
	s, err = asking(t, &server{answers: answers}, ask)
	if err != nil || !strings.Contains(s.out.String(), airlock) || !strings.HasPrefix(s.err.String(), "Not all is known of the images: the cluster does not know airlockprofiles") {
		t.Errorf("%v\n%s%s", err, s.out, s.err)
	}
}

func TestAWayIsExplained(t *testing.T) {
	t.Parallel()
	answers := pathology()
	lis, _ := answers[labPath+"/namespaces/pathology/labworkloads/lis"].(v1alpha1.LabWorkload)
	engine := *lis.DeepCopy()
	engine.Name = "interface-engine"
	answers[labPath+"/namespaces/pathology/labworkloads/interface-engine"] = engine
	services := "GET /api/v1/namespaces/pathology/services?labelSelector=labguard.dev%2Flabworkload%3Dlis%2Capp.kubernetes.io%2Fmanaged-by%3Dlabguard"
	answers[services] = corev1.ServiceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceList"}}
	ask := func(ctx context.Context, s session, r reader) error {
		return s.way(ctx, r, named("lis", "pathology"), named("interface-engine", "pathology"), "")
	}
	s, err := asking(t, &server{answers: answers}, ask)
	if err == nil || exitCode(err) != exitBad || !strings.HasPrefix(s.out.String(), "pathology/interface-engine -> pathology/lis no mutual TLS\n  reason: declared: nothing is agreed") {
		t.Errorf("%v\n%s", err, s.out)
	}
	delete(answers, services)
	if s, err = asking(t, &server{answers: answers}, ask); exitCode(err) != exitBad || !strings.Contains(s.out.String(), "companion: the Services cannot be read") {
		t.Errorf("%v\n%s", err, s.out)
	}
	if _, err = asking(t, &server{}, ask); exitCode(err) != exitUnanswered {
		t.Error(err)
	}
}

// refusing answers everything with one status.
func refusing(code int32, reason metav1.StatusReason) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(int(code))
		_ = json.NewEncoder(w).Encode(metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Reason: reason, Code: code, Message: `it is forbidden: User "ann" cannot list resource "labworkloads" in API group "labguard.dev"`,
		})
	})
}

func TestWhatStandsInTheWayIsSaidWithWhatHelps(t *testing.T) {
	t.Parallel()
	asks := map[string]func(context.Context, session, reader) error{
		"status":   func(ctx context.Context, s session, r reader) error { return s.status(ctx, r, "", nil, "") },
		"held":     func(ctx context.Context, s session, r reader) error { return s.held(ctx, r, "", "") },
		"forecast": func(ctx context.Context, s session, r reader) error { return s.forecast(ctx, r, "", 30, "") },
		"the status of one": func(ctx context.Context, s session, r reader) error {
			return s.status(ctx, r, "pathology", []string{"lis"}, "")
		},
	}
	plain404 := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "404 page not found", http.StatusNotFound) })
	for name, c := range map[string]struct {
		handler http.Handler
		want    string
	}{
		"no permission": {refusing(http.StatusForbidden, metav1.StatusReasonForbidden), "have somebody bind the ClusterRole labguard-view to you"},
		"no login":      {refusing(http.StatusUnauthorized, metav1.StatusReasonUnauthorized), "the API server does not know you: log in again"},
		"no labguard":   {plain404, "the cluster does not know labworkloads.labguard.dev: labguard is not installed there"},
	} {
		for command, ask := range asks {
			t.Run(name+" for "+command, func(t *testing.T) {
				t.Parallel()
				s, err := asking(t, c.handler, ask)
				if err == nil || !strings.Contains(err.Error(), c.want) || exitCode(err) != exitUnanswered || s.out.Len() > 0 {
					t.Errorf("%v\n%s", err, s.out)
				}
			})
		}
	}
	gone := httptest.NewServer(plain404)
	gone.Close()
	from, err := newReader(&rest.Config{Host: gone.URL})
	if err != nil {
		t.Fatal(err)
	}
	if err := newSession().status(t.Context(), from, "", nil, ""); err == nil || !strings.HasPrefix(err.Error(), "the API server does not answer:") {
		t.Error(err)
	}
}

func TestWithoutAKubeconfigItIsSaidWhereOneGoes(t *testing.T) {
	t.Setenv("KUBERNETES_MASTER", "")
	for _, args := range []string{"status", "held", "forecast", "explain deployment/lis", "explain lis --from gw", "plan", "rights"} {
		out, _, err := command(t, "", strings.Fields(args)...)
		if !errors.Is(err, errNoKubeconfig) || exitCode(err) != exitUnanswered || out != "" {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
	if _, _, err := command(t, "", "status", "--kubeconfig", "/no/such/file"); err == nil || !strings.Contains(err.Error(), "/no/such/file") {
		t.Error(err)
	}
}

func TestATerminalIsAsItsEnvironmentSays(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]string{
		"":                              "colour=true unicode=false width=80",
		"LANG=en_US.UTF-8":              "colour=true unicode=true width=80",
		"LANG=en_US.UTF-8 LC_ALL=C":     "colour=true unicode=false width=80",
		"LC_CTYPE=de_DE.utf8 COLUMNS=9": "colour=true unicode=true width=9",
		"NO_COLOR=1":                    "colour=false unicode=false width=80",
		"TERM=dumb COLUMNS=x":           "colour=false unicode=false width=80",
	} {
		values := map[string]string{}
		for pair := range strings.FieldsSeq(env) {
			name, value, _ := strings.Cut(pair, "=")
			values[name] = value
		}
		paper := terminal(0, func(name string) string { return values[name] })
		if got := fmt.Sprintf("colour=%t unicode=%t width=%d", paper.Colour, paper.Unicode, paper.Width); got != want || !paper.Lines {
			t.Errorf("%q: %s, want %s", env, got, want)
		}
	}
	if paper := terminal(120, func(string) string { return "" }); paper.Width != 120 {
		t.Errorf("%+v", paper)
	}
}

func TestWhatTakesLongIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		step time.Duration
		want string
	}{"at once": {0, ""}, "long": {slow, "\r\x1b[Kreading ...\r\x1b[K"}} {
		timers := testclock.NewFakeClock(noon)
		out := &notified{wrote: make(chan struct{}, 2)}
		over := told(t.Context(), timers, out, "reading")
		if c.step > 0 {
			timers.Step(c.step)
			<-out.wrote
		}
		over()
		if out.String() != c.want {
			t.Errorf("%s: %q", name, out)
		}
	}
}

// notified says when it was written to.
type notified struct {
	bytes.Buffer

	wrote chan struct{}
}

func (n *notified) Write(text []byte) (int, error) {
	defer func() { n.wrote <- struct{}{} }()
	return n.Buffer.Write(text)
}

func TestKindsAreNamedAsKubectlNamesThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"deploy": "Deployment", "deployments.apps": "Deployment", "StatefulSet": "StatefulSet", "sts": "StatefulSet", "po": "Pod", "cj": "CronJob", "rollouts.argoproj.io": "Rollout",
	} {
		if got, err := kindNamed(text); err != nil || got.name != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	if _, err := kindNamed("secret"); err == nil || !strings.HasPrefix(err.Error(), "the gate knows no secret: it knows deployment, ") {
		t.Error(err)
	}
}

func TestCompletionIsThatOfKubectl(t *testing.T) {
	out, _, err := command(t, "", "completion")
	if err != nil || !strings.HasPrefix(out, "#!/bin/sh\n") || !strings.Contains(out, "kubectl-labguard __complete \"$@\"") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out, _, err := command(t, "", "completion", shell); err != nil || !strings.Contains(out, "kubectl-labguard") {
			t.Errorf("%s: %v", shell, err)
		}
	}
	out, _, err = command(t, "", "__complete", "explain", "dep")
	if err != nil || !strings.Contains(out, "deployment/\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, _, err = command(t, "", "__complete", "explain", "lis", "--from", ""); err != nil || !strings.Contains(out, ":4") {
		t.Errorf("%v\n%s", err, out)
	}
	for typed, want := range map[string]string{
		"--fail-on ": "refused\nheld\nunknown\nwarned\nlater\n:6\n", "--fail-on held,w": "held,refused\nheld,unknown\nheld,warned\nheld,later\n:6\n",
		"-o ": "json\nsarif\n:4\n", "--output ": "json\nsarif\n:4\n",
	} {
		flag, value, _ := strings.Cut(typed, " ")
		if out, _, err = command(t, "", "__complete", "check", flag, value); err != nil || out != want {
			t.Errorf("%s is completed to %q, want %q: %v", typed, out, want, err)
		}
	}
}
