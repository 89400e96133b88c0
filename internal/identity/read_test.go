// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/labguard/labguard/internal/identity"
	"github.com/labguard/labguard/internal/posture/access"
)

var now = time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)

type extra = map[string]authenticationv1.ExtraValue

// seconds is an instant as a token has it.
func seconds(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

func login(change ...func(extra)) authenticationv1.UserInfo {
	claims := extra{
		"labguard.dev/issuer": {"https://idp.example"}, "labguard.dev/subject": {"mia"}, "labguard.dev/amr": {"pwd", "otp", "mfa", "otp"},
		"labguard.dev/acr": {"aal2"}, "labguard.dev/auth-time": {seconds(now.Add(-time.Hour))},
	}
	for _, each := range change {
		each(claims)
	}
	return authenticationv1.UserInfo{Username: "oidc:mia", UID: "1", Groups: []string{"lab"}, Extra: claims}
}

func set(key string, values ...string) func(extra) {
	return func(claims extra) { claims["labguard.dev/"+key] = values }
}

func read(user authenticationv1.UserInfo) identity.Facts {
	return identity.Read(user, identity.Keys{}, now)
}

func TestALoginIsReadWhole(t *testing.T) {
	t.Parallel()
	want := identity.Facts{
		User: "oidc:mia", Groups: []string{"lab"}, Kind: access.KindPerson, Claims: true, Issuer: "https://idp.example", Subject: "mia",
		Methods: []string{"mfa", "otp", "pwd"}, Context: "aal2", AuthTime: now.Add(-time.Hour),
	}
	if diff := cmp.Diff(want, read(login())); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

func TestTheNameSaysWhatSortOfUserItIs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		user   string
		groups []string
		kind   access.Kind
		// namespace and machine are those of the account, problems how many there are.
		namespace, machine string
		problems           int
	}{
		"a person":                              {user: "oidc:mia", kind: access.KindPerson},
		"nobody":                                {kind: access.KindPerson},
		"a name that has system: in it":         {user: "oidc:system:node:n1", kind: access.KindPerson},
		"another case is another name":          {user: "System:node:n1", kind: access.KindPerson},
		"a member of system:masters":            {user: "admin", groups: []string{"system:masters"}, kind: access.KindPerson},
		"a ServiceAccount":                      {user: "system:serviceaccount:a:b", groups: []string{"system:serviceaccounts", "system:serviceaccounts:a"}, kind: access.KindServiceAccount, namespace: "a", machine: "b"},
		"its name without its groups":           {user: "system:serviceaccount:a:b", kind: access.KindServiceAccount, namespace: "a", machine: "b", problems: 1},
		"its name with the groups of another":   {user: "system:serviceaccount:a:b", groups: []string{"system:serviceaccounts", "system:serviceaccounts:c"}, kind: access.KindServiceAccount, namespace: "a", machine: "b", problems: 1},
		"a ServiceAccount without a name":       {user: "system:serviceaccount:a:", kind: access.KindSystem},
		"a ServiceAccount without a namespace":  {user: "system:serviceaccount::b", kind: access.KindSystem},
		"a ServiceAccount with a name too many": {user: "system:serviceaccount:kube-system:b:c", kind: access.KindSystem},
		"a node":                                {user: "system:node:n1", groups: []string{"system:nodes"}, kind: access.KindNode, machine: "n1"},
		"its name without its group":            {user: "system:node:n1", kind: access.KindNode, machine: "n1", problems: 1},
		"a node without a name":                 {user: "system:node:", kind: access.KindSystem},
		"the scheduler":                         {user: "system:kube-scheduler", kind: access.KindSystem},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := read(authenticationv1.UserInfo{Username: test.user, Groups: test.groups})
			if got.Kind != test.kind || got.Namespace != test.namespace || got.Name != test.machine || len(got.Problems) != test.problems {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestWhatCannotBeReadIsNotThere(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 257)
	for name, test := range map[string]struct {
		change  func(extra)
		missing func(*identity.Facts)
		problem string
	}{
		"a subject that is too long":                   {set("subject", long), noSubject, "longer than 256 bytes"},
		"a subject of two values":                      {set("subject", "mia", "eve"), noSubject, "2 values where one is expected"},
		"a subject with a zero width space":            {set("subject", "mi\u200ba"), noSubject, "invisible characters"},
		"a subject with a soft hyphen":                 {set("subject", "mi\u00ada"), noSubject, "invisible characters"},
		"a subject with a variation selector":          {set("subject", "mia\ufe0f"), noSubject, "invisible characters"},
		"a subject with a Hangul filler":               {set("subject", "mia\u3164"), noSubject, "invisible characters"},
		"a subject with a grapheme joiner":             {set("subject", "mi\u034fa"), noSubject, "invisible characters"},
		"a subject that runs from right to left":       {set("subject", "\u202eaim"), noSubject, "invisible characters"},
		"a subject with a tag character":               {set("subject", "mia\U000e0061"), noSubject, "invisible characters"},
		"a subject with a blank of Braille":            {set("subject", "mia\u2800"), noSubject, "invisible characters"},
		"a subject with a space that does not break":   {set("subject", "mia\u00a0m"), noSubject, "invisible characters"},
		"a subject with a control character":           {set("subject", "mia\n"), noSubject, "invisible characters"},
		"a subject with a space at its end":            {set("subject", "mia "), noSubject, "spaces around it"},
		"a subject that is decomposed":                 {set("subject", "ame\u0301lie"), noSubject, "normal form NFC"},
		"a subject with the sign for angstrom":         {set("subject", "\u212bsa"), noSubject, "normal form NFC"},
		"a subject that is not UTF-8":                  {set("subject", "mia\xff"), noSubject, "not UTF-8"},
		"an empty subject is none":                     {set("subject", ""), noSubject, ""},
		"a subject without values is none":             {set("subject"), noSubject, ""},
		"two issuers":                                  {set("issuer", "https://idp.example", "https://idp.example"), func(f *identity.Facts) { f.Issuer = "" }, "2 values"},
		"a context of two values":                      {set("acr", "aal2", "aal3"), func(f *identity.Facts) { f.Context = "" }, "2 values"},
		"65 methods":                                   {set("amr", strings.Split(strings.Repeat("mfa,", 65), ",")[:65]...), noMethods, "65 values, of which none is read"},
		"methods in one text are one odd method":       {set("amr", `["mfa","pwd"]`), func(f *identity.Facts) { f.Methods = []string{`["mfa","pwd"]`} }, ""},
		"a method that is not UTF-8 beside a good one": {set("amr", "mfa\xff", "otp"), func(f *identity.Facts) { f.Methods = []string{"otp"} }, "1 values cannot be read"},
		"methods that are too long":                    {set("amr", long, long), noMethods, "2 values cannot be read"},
		"empty methods are none":                       {set("amr", "", ""), noMethods, ""},
		"a time in words":                              {set("auth-time", "yesterday"), noTime, "not digits alone"},
		"a time as a double":                           {set("auth-time", "1.764158400e+09"), noTime, "not digits alone"},
		"a time with a sign":                           {set("auth-time", "+1764158400"), noTime, "not digits alone"},
		"a time below zero":                            {set("auth-time", "-1764158400"), noTime, "not digits alone"},
		"a time in Arabic digits":                      {set("auth-time", "\u0661\u0667\u0666\u0664\u0661\u0665\u0668\u0664\u0660\u0660"), noTime, "not digits alone"},
		"a time that is no int64":                      {set("auth-time", strings.Repeat("9", 30)), noTime, "no number of seconds"},
		"a time at the end of int64":                   {set("auth-time", "9223372036854775807"), noTime, "in the future"},
		"a time in milliseconds":                       {set("auth-time", seconds(now)+"000"), noTime, "in the future"},
		"a time that is too long":                      {set("auth-time", strings.Repeat("0", 257)), noTime, "longer than 256 bytes"},
		"two times":                                    {set("auth-time", seconds(now), seconds(now)), noTime, "2 values"},
		"a time of 1970":                               {set("auth-time", "0"), noTime, "before the year 2000"},
		"a time of 1999":                               {set("auth-time", "946684799"), noTime, "before the year 2000"},
		"a time more than five minutes ahead":          {set("auth-time", seconds(now.Add(301*time.Second))), noTime, "in the future"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := read(login())
			test.missing(&want)
			got := read(login(test.change))
			problems := got.Problems
			got.Problems = nil
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
			if test.problem == "" && len(problems) > 0 || test.problem != "" && (len(problems) != 1 || !strings.Contains(problems[0], test.problem)) {
				t.Errorf("problems %q, want %q", problems, test.problem)
			}
		})
	}
}

func noSubject(f *identity.Facts) { f.Subject = "" }
func noMethods(f *identity.Facts) { f.Methods = nil }
func noTime(f *identity.Facts)    { f.AuthTime = time.Time{} }

func TestWhatCanBeReadIsKeptAsItIs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(extra)
		want   func(*identity.Facts)
	}{
		"a subject of another script is not folded": {set("subject", "mi\u0430"), func(f *identity.Facts) { f.Subject = "mi\u0430" }},
		"a subject with letters of several scripts": {set("subject", "\u30df\u30a2-amélie"), func(f *identity.Facts) { f.Subject = "\u30df\u30a2-amélie" }},
		"a subject of 256 bytes":                    {set("subject", strings.Repeat("x", 256)), func(f *identity.Facts) { f.Subject = strings.Repeat("x", 256) }},
		"a subject with a space":                    {set("subject", "mia m"), func(f *identity.Facts) { f.Subject = "mia m" }},
		"64 methods":                                {set("amr", strings.Split(strings.Repeat("mfa,", 64), ",")[:64]...), func(f *identity.Facts) { f.Methods = []string{"mfa"} }},
		"five minutes ahead":                        {set("auth-time", seconds(now.Add(5*time.Minute))), func(f *identity.Facts) { f.AuthTime = now.Add(5 * time.Minute) }},
		"the first second of 2000":                  {set("auth-time", "946684800"), func(f *identity.Facts) { f.AuthTime = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := read(login())
			test.want(&want)
			if diff := cmp.Diff(want, read(login(test.change))); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAKeyWithoutAValueIsAClaimToo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		extra extra
		want  bool
	}{
		"none":                {nil, false},
		"a key of the system": {extra{"authentication.kubernetes.io/pod-name": {"x"}}, false},
		"another case":        {extra{"Labguard.dev/amr": {"mfa"}}, false},
		"amr alone":           {extra{"labguard.dev/amr": {"mfa"}}, true},
		"an empty list":       {extra{"labguard.dev/amr": nil}, true},
		"an unreadable value": {extra{"labguard.dev/subject": {"\xff"}}, true},
	} {
		if got := read(authenticationv1.UserInfo{Extra: test.extra}); got.Claims != test.want {
			t.Errorf("%s: claims %t, want %t", name, got.Claims, test.want)
		}
	}
}

func TestTheIssuerSaysUnderWhichKeysItsClaimsArrive(t *testing.T) {
	t.Parallel()
	sources := []identity.Source{
		{Issuer: "https://idp.example"},
		{Issuer: "https://entra.example", Keys: identity.Keys{Subject: "entra.example/oid"}},
		{Issuer: "https://other.example", Keys: identity.Keys{Issuer: "other.example/iss", Methods: "other.example/amr"}},
	}
	for name, test := range map[string]struct {
		extra           extra
		issuer, subject string
		methods         []string
		problems        int
	}{
		"the default keys": {extra: login().Extra, issuer: "https://idp.example", subject: "mia", methods: []string{"mfa", "otp", "pwd"}},
		"a key of its own for the subject": {
			extra:  extra{"labguard.dev/issuer": {"https://entra.example"}, "labguard.dev/subject": {"pairwise"}, "entra.example/oid": {"mia"}},
			issuer: "https://entra.example", subject: "mia",
		},
		"keys of its own for the issuer": {
			extra:  extra{"other.example/iss": {"https://other.example"}, "other.example/amr": {"mfa"}, "labguard.dev/amr": {"hwk"}},
			issuer: "https://other.example", methods: []string{"mfa"},
		},
		"an issuer that is not configured": {extra: extra{"labguard.dev/issuer": {"https://ci.example"}, "labguard.dev/amr": {"mfa"}}, problems: 1},
		"an issuer that is named under the keys of another": {
			extra: extra{"other.example/iss": {"https://idp.example"}, "other.example/amr": {"mfa"}}, problems: 1,
		},
		"two issuers that are named at once": {
			extra: extra{"labguard.dev/issuer": {"https://idp.example"}, "other.example/iss": {"https://other.example"}, "labguard.dev/amr": {"mfa"}}, problems: 1,
		},
		"claims without an issuer": {extra: extra{"other.example/amr": {"mfa"}}, problems: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := identity.Recognise(authenticationv1.UserInfo{Username: "mia", Extra: test.extra}, sources, now)
			if !got.Claims || got.Issuer != test.issuer || got.Subject != test.subject || cmp.Diff(test.methods, got.Methods) != "" || len(got.Problems) != test.problems {
				t.Errorf("got %+v", got)
			}
		})
	}
	if got := identity.Recognise(authenticationv1.UserInfo{Username: "mia"}, sources, now); got.Claims || len(got.Problems) > 0 {
		t.Errorf("a user without claims is %+v", got)
	}
	if got := identity.Recognise(login(), nil, now); !got.Claims || got.Issuer != "" || len(got.Methods) > 0 {
		t.Errorf("where no issuer is configured, a login is %+v", got)
	}
}

func TestAProblemNeverRepeatsAValue(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"\n", "ab\n", "secret-subject\x00", "\u202eaim", strings.Repeat("secret ", 60), "e\u0301", "\xff\xfe"} {
		for _, key := range []string{"issuer", "subject", "amr", "acr", "auth-time"} {
			got := read(login(set(key, value)))
			for _, problem := range got.Problems {
				if strings.Contains(problem, value) || strings.Contains(problem, strconv.QuoteToASCII(value)) || len(problem) > 120 {
					t.Errorf("the problem %q repeats %q", problem, value)
				}
			}
			if len(got.Problems) == 0 {
				t.Errorf("%q is taken for %s", value, key)
			}
		}
	}
}

func BenchmarkRecognise(b *testing.B) {
	var sources []identity.Source
	for i := range 10 {
		sources = append(sources, identity.Source{Issuer: fmt.Sprintf("https://idp-%d.example", i)})
	}
	sources = append(sources, identity.Source{Issuer: "https://idp.example"})
	user := login()
	b.ReportAllocs()
	for b.Loop() {
		if got := identity.Recognise(user, sources, now); got.Subject != "mia" {
			b.Fatalf("got %+v", got)
		}
	}
}
