// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	testclock "k8s.io/utils/clock/testing"
)

// noon is when everything here happens.
var noon = time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)

// session is a plugin whose output can be read.
type session struct {
	*plugin

	clock    *testclock.FakePassiveClock
	out, err *bytes.Buffer
}

func newSession() session {
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	clock := testclock.NewFakePassiveClock(noon)
	return session{plugin: &plugin{IOStreams: streams, flags: clusterFlags(), clock: clock}, clock: clock, out: out, err: errOut}
}

// command runs the plugin as a person does, without a cluster.
func command(t *testing.T, in string, args ...string) (out, errOut string, err error) {
	t.Helper()
	t.Setenv("KUBECONFIG", "/dev/null")
	streams, _, outBuffer, errBuffer := genericiooptions.NewTestIOStreams()
	streams.In = strings.NewReader(in)
	root := newRoot(streams, testclock.NewFakePassiveClock(noon))
	root.SetArgs(args)
	err = root.ExecuteContext(t.Context())
	return outBuffer.String(), errBuffer.String(), err
}

// expect compares what was printed with what a reader of the test sees: a block without its indentation.
func expect(t *testing.T, what, got, want string) {
	t.Helper()
	lines := strings.Split(strings.TrimPrefix(want, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], "\t")
	}
	if want = strings.Join(lines, "\n"); got != want {
		t.Errorf("%s is\n%s\nwant\n%s", what, got, want)
	}
}

func TestMistakesAreSaidInOneLineThatHelps(t *testing.T) {
	for args, want := range map[string]string{
		"trainings":                                     `unknown command "trainings" for "kubectl labguard"`,
		"training exports":                              `unknown command "exports" for "kubectl labguard training"`,
		"training import":                               "say which file with -f; - is standard input",
		"training import -f -":                          "say how the file is written with --format csv or --format json",
		"training import -f lms.xlsx":                   "say how the file is written with --format csv or --format json",
		"training import -f lms.csv --format xml":       "say how the file is written with --format csv or --format json",
		"training import -f /no/such.csv":               "open /no/such.csv: no such file or directory",
		"training import lms.csv":                       `unknown command "lms.csv" for "kubectl labguard training import"`,
		"break-glass find":                              "say which file with --audit-log; - is standard input",
		"break-glass find --audit-log - --group=":       "the group has no name",
		"break-glass find --audit-log - --since=-1h":    "--since is a length of time, such as 24h",
		"break-glass find --audit-log /no/such.log":     "open /no/such.log: no such file or directory",
		"break-glass acknowledge":                       "accepts 1 arg(s), received 0",
		"break-glass acknowledge a":                     `required flag(s) "reason" not set`,
		"rights -o yaml":                                "-o is json, or left out for a table",
		"rights --limit 0":                              "--limit is 1 to 10000",
		"rights --machine=":                             "a machine has no name: write its user name",
		"rights --trust sre":                            "--trust sre: write User/NAME, Group/NAME or ServiceAccount/NAMESPACE/NAME",
		"rights --trust Group/":                         "--trust Group/: write",
		"rights --trust ServiceAccount/x":               "--trust ServiceAccount/x: write",
		"rights all":                                    `unknown command "all" for "kubectl labguard rights"`,
		"plan -o xml":                                   "-o is yaml, json, or left out for people",
		"plan lis":                                      `unknown command "lis" for "kubectl labguard plan"`,
		"status -o yaml":                                "-o is json, or left out for people",
		"status lis -A":                                 "a name is of one namespace: say which with -n, and leave -A out",
		"held lis":                                      `unknown command "lis" for "kubectl labguard held"`,
		"forecast --days 0":                             "--days is 1 to 3650",
		"explain lis":                                   "say of which kind lis is, such as deployment/lis; or name the LabWorkload",
		"explain secret/lis":                            "the gate knows no secret: it knows deployment",
		"explain deployment/":                           "deployment/ is neither KIND/NAME nor a LabWorkload",
		"explain a/b/c":                                 "a/b/c is neither KIND/NAME nor a LabWorkload",
		"explain deployment/lis --days 9999":            "--days is 1 to 3650",
		"explain deployment/lis -o yaml":                "-o is json, or left out for people",
		"explain lis --from gw --image a=b":             "--image is for KIND/NAME, and --from for a LabWorkload",
		"completion tcsh":                               `invalid argument "tcsh" for "kubectl labguard completion"`,
		"authentication lab-login":                      "say which client ID the tokens are for with --audience",
		"authentication --audience a":                   "name an IdentityProvider, or a file that has one with -f",
		"authentication --audience a --audience a -f x": "an audience is empty or there twice",
		"authentication x -f y --audience a":            "name providers of the cluster or a file with -f, and not both",
		"authentication -f /no/such.yaml --audience a":  "open /no/such.yaml: no such file or directory",
	} {
		t.Run(args, func(t *testing.T) {
			out, _, err := command(t, "", strings.Fields(args)...)
			if err == nil || !strings.HasPrefix(err.Error(), want) || out != "" {
				t.Errorf("it says %v and prints %q, want %q", err, out, want)
			}
		})
	}
}

func TestNothingThatOthersHaveWrittenCommandsTheTerminal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"ann":           "ann",
		"Ångström 安":    "Ångström 安",
		"a\x1b[2Jb":     `a\x1b[2Jb`,
		"a\tb\nc\rd":    `a\tb\nc\rd`,
		"user\u202ecod": `user\u202ecod`,
		"an\u200bn":     `an\u200bn`,
		"a\xffb":        `a\ufffdb`,
		"\u009b31m":     `\u009b31m`,
	} {
		if got := visible(text); got != want {
			t.Errorf("%q is printed as %q, want %q", text, got, want)
		}
	}
}

func TestAColumnThatIsEmptyIsADash(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := writeTable(&out, []string{"NAME", "B"}, [][]string{{"", "x\ty"}, {"a-long-name", ""}}); err != nil {
		t.Fatal(err)
	}
	expect(t, "the table", out.String(), `
		NAME          B
		-             x\ty
		a-long-name   -
		`)
}

func TestProgressIsSaidInAWhileAndNotAtOnce(t *testing.T) {
	t.Parallel()
	s := newSession()
	report := newProgress(s.ErrOut, s.clock, false)
	for done := range 4 {
		report.at(done, 10)
		s.clock.SetTime(s.clock.Now().Add(6 * time.Second))
	}
	report.end()
	expect(t, "progress in a log", s.err.String(), "2 of 10 records written\n")

	s = newSession()
	report = &progress{out: s.ErrOut, clock: s.clock, doing: "checked", terminal: true, every: terminalEvery, last: s.clock.Now()}
	report.at(1, 10)
	s.clock.SetTime(s.clock.Now().Add(time.Second))
	report.at(2, 10)
	report.end()
	if got, want := s.err.String(), "\r\x1b[K2 of 10 records checked\r\x1b[K"; got != want {
		t.Errorf("progress on a terminal is %q, want %q", got, want)
	}
}
