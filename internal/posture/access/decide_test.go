// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/access"
)

// decisionTest is one request and its answer.
type decisionTest struct {
	settings []func(*access.Settings)
	person   access.Person
	request  access.Request
	records  records

	allowed bool
	reason  access.Reason
	// says are parts of the refusal or of the warnings; warnings is how many of those there are.
	says     []string
	warnings int
}

func (test decisionTest) run(t *testing.T) {
	t.Helper()
	t.Parallel()
	if test.records == nil {
		test.records = trained
	}
	got := access.Decide(access.Input{
		Policy: access.Arrange(settings(test.settings...)), Person: test.person, Request: test.request, Missing: test.records.missing, Now: now,
	})
	if got.Allowed != test.allowed || got.Reason != test.reason || len(got.Warnings) != test.warnings {
		t.Errorf("allowed %t for %q with warnings %q, want %t for %q with %d\n%s", got.Allowed, got.Reason, got.Warnings, test.allowed, test.reason, test.warnings, got.Message)
	}
	text := got.Message + "\n" + strings.Join(got.Warnings, "\n")
	for _, part := range test.says {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not said by %q", part, text)
		}
	}
	if got.Annotations[access.AnnotationReason] != string(test.reason) {
		t.Errorf("the audit log gets the reason %q", got.Annotations[access.AnnotationReason])
	}
}

func run(t *testing.T, tests map[string]decisionTest) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, test.run)
	}
}

func TestAPersonGetsInWithARecentLoginOfSeveralFactorsAndTraining(t *testing.T) {
	t.Parallel()
	strong := asks(func(r *access.Rule) { r.Methods = [][]string{{"mfa"}, {"hwk"}, {"otp", "pwd"}} })
	run(t, map[string]decisionTest{
		"mfa of an hour ago and the course":   {person: person(), request: exec(), allowed: true, reason: access.ReasonProven},
		"pwd and otp, where the rule says so": {settings: []func(*access.Settings){strong}, person: person(loggedIn("otp", "pwd")), request: exec(), allowed: true, reason: access.ReasonProven},
		"a hardware key, where the rule says so": {
			settings: []func(*access.Settings){strong}, person: person(loggedIn("hwk")), request: exec(), allowed: true, reason: access.ReasonProven,
		},
		"pwd and otp are not mfa by themselves": {
			person: person(loggedIn("otp", "pwd")), request: exec(), reason: access.ReasonMethodsMissing,
			says: []string{"pods/exec lis-0 in namespace pathology is refused", "LabWorkload lis asks for a login with mfa: log in again at https://idp.example with a second factor"},
		},
		"pwd alone is refused": {
			settings: []func(*access.Settings){strong}, person: person(loggedIn("pwd")), request: exec(), reason: access.ReasonMethodsMissing, says: []string{"mfa or hwk or otp+pwd"},
		},
		"a password and a security question are one factor": {
			settings: []func(*access.Settings){strong}, person: person(loggedIn("kba", "pwd")), request: exec(), reason: access.ReasonMethodsMissing,
		},
		"no methods at all are refused":                {person: person(loggedIn()), request: exec(), reason: access.ReasonMethodsMissing},
		"a set of no methods is never there":           {settings: []func(*access.Settings){asks(func(r *access.Rule) { r.Methods = [][]string{{}} })}, person: person(), request: exec(), reason: access.ReasonMethodsMissing},
		"methods are compared byte by byte":            {person: person(loggedIn("MFA", "mfa ", "mf\u0430")), request: exec(), reason: access.ReasonMethodsMissing},
		"the audience of a dry run gets the same":      {person: person(loggedIn("pwd")), request: func() access.Request { r := exec(); r.DryRun = true; return r }(), reason: access.ReasonMethodsMissing},
		"port-forward is asked about like exec":        {person: person(loggedIn("pwd")), request: func() access.Request { r := exec(); r.Subresource = "portforward"; return r }(), reason: access.ReasonMethodsMissing},
		"the proxy of a Service is asked about, too":   {person: person(loggedIn("pwd")), request: func() access.Request { r := exec(); r.Resource, r.Subresource = "services", "proxy"; return r }(), reason: access.ReasonMethodsMissing},
		"another namespace asks for nothing":           {person: nobody("eve"), request: func() access.Request { r := exec(); r.Namespace = "kitchen"; return r }(), allowed: true, reason: access.ReasonNotRequired},
		"a kind of request that is not known, refuses": {person: person(), request: access.Request{Namespace: lab}, reason: access.ReasonInvalidRequest},
	})
}

func TestTheAgeOfALoginIsExactButForTwoMinutesOfClockSkew(t *testing.T) {
	t.Parallel()
	shorter := func(s *access.Settings) { s.Providers[0].Rule.MaxAge = time.Hour }
	longer := func(s *access.Settings) { s.Providers[0].Rule.MaxAge = 100 * time.Hour }
	run(t, map[string]decisionTest{
		"exactly 12 hours":                        {person: person(ago(12 * time.Hour)), request: exec(), allowed: true, reason: access.ReasonProven},
		"12 hours and two minutes":                {person: person(ago(12*time.Hour + 2*time.Minute)), request: exec(), allowed: true, reason: access.ReasonProven},
		"a second more":                           {person: person(ago(12*time.Hour + 121*time.Second)), request: exec(), reason: access.ReasonLoginTooOld, says: []string{"asks for a login of the last 12 hours: log in again at https://idp.example"}},
		"two minutes in the future":               {person: person(ago(-2 * time.Minute)), request: exec(), allowed: true, reason: access.ReasonProven},
		"three minutes in the future":             {person: person(ago(-3 * time.Minute)), request: exec(), reason: access.ReasonLoginTimeUnknown},
		"no time at all":                          {person: person(func(p *access.Person) { p.AuthTime = time.Time{} }), request: exec(), reason: access.ReasonLoginTimeUnknown},
		"a rule without a limit asks for none":    {settings: []func(*access.Settings){asks(func(r *access.Rule) { r.MaxAge = 0 })}, person: person(ago(9000 * time.Hour)), request: exec(), allowed: true, reason: access.ReasonProven},
		"a limit below zero lets nobody in":       {settings: []func(*access.Settings){asks(func(r *access.Rule) { r.MaxAge = -time.Hour })}, person: person(), request: exec(), reason: access.ReasonLoginTooOld},
		"the provider's own limit is shorter":     {settings: []func(*access.Settings){shorter}, person: person(ago(2 * time.Hour)), request: exec(), reason: access.ReasonLoginTooOld, says: []string{"the last 1 hour"}},
		"the provider's own limit is longer":      {settings: []func(*access.Settings){longer}, person: person(ago(13 * time.Hour)), request: exec(), reason: access.ReasonLoginTooOld},
		"all that is missing is told at once":     {person: person(loggedIn("pwd"), ago(13*time.Hour), func(p *access.Person) { p.Subject = "eve" }), request: exec(), reason: access.ReasonMethodsMissing, says: []string{"a login with mfa", "the last 12 hours", "the course phishing-basics"}},
		"a problem of the claims is told as well": {person: person(loggedIn(), func(p *access.Person) { p.Problems = []string{"amr: 70 values"} }), request: exec(), reason: access.ReasonMethodsMissing, says: []string{"Not all of this login could be read: amr: 70 values"}},
	})
}

func TestClaimsBelongToAnIssuer(t *testing.T) {
	t.Parallel()
	twice := func(s *access.Settings) { s.Providers = append(s.Providers, s.Providers[0]) }
	context := func(p *access.Person) { p.Context = "c1" }
	hardware := asks(func(r *access.Rule) { r.Methods = [][]string{{"hwk"}} })
	classes := asks(func(r *access.Rule) { r.Contexts = []string{"c2", "c3"} })
	run(t, map[string]decisionTest{
		"the claims of a CI issuer that nobody configured are refused": {
			person: person(at(ci)), request: exec(), reason: access.ReasonIssuerUnknown, says: []string{"log in at https://entra.example or https://google.example or https://idp.example"},
		},
		"claims without an issuer are refused":                                    {person: person(at("")), request: exec(), reason: access.ReasonIssuerUnknown},
		"an issuer that looks alike is another":                                   {person: person(at("https://\u0456dp.example")), request: exec(), reason: access.ReasonIssuerUnknown},
		"an issuer with a slash more is another":                                  {person: person(at(idp + "/")), request: exec(), reason: access.ReasonIssuerUnknown},
		"an issuer that is configured twice is not known":                         {settings: []func(*access.Settings){twice}, person: person(), request: exec(), reason: access.ReasonIssuerUnknown},
		"a client certificate has no claims":                                      {person: nobody("alice", "system:authenticated"), request: exec(), reason: access.ReasonNoClaims, says: []string{"nothing says how this user has logged in"}},
		"a member of system:masters is a person like others":                      {person: nobody("kubernetes-admin", "system:masters"), request: exec(), reason: access.ReasonNoClaims},
		"a provider without amr is asked for what it has":                         {person: person(at(entra), loggedIn(), context), request: exec(), allowed: true, reason: access.ReasonProven},
		"a provider without amr refuses a login without its class":                {person: person(at(entra)), request: exec(), reason: access.ReasonContextMissing, says: []string{"a login with context c1"}},
		"methods that a provider cannot prove do not count":                       {settings: []func(*access.Settings){hardware}, person: person(at(entra), loggedIn("hwk"), context), request: exec(), reason: access.ReasonProviderCannotProve, says: []string{"the methods (amr)"}},
		"a provider that proves nothing is refused under Deny":                    {person: person(at(google)), request: exec(), reason: access.ReasonProviderCannotProve, says: []string{"the methods (amr) and the time of the login (auth_time)"}},
		"a provider that proves nothing is let through with a warning under Warn": {settings: []func(*access.Settings){requirement(warn)}, person: person(at(google)), request: exec(), allowed: true, reason: access.ReasonProviderCannotProve, warnings: 1, says: []string{"is let through without proof"}},
		"Warn never helps a login that was not good enough":                       {settings: []func(*access.Settings){requirement(warn)}, person: person(loggedIn("pwd")), request: exec(), reason: access.ReasonMethodsMissing},
		"Warn never helps a user without claims, where a provider is known":       {settings: []func(*access.Settings){requirement(warn)}, person: nobody("alice"), request: exec(), reason: access.ReasonNoClaims},
		"Warn never helps an issuer that is not configured":                       {settings: []func(*access.Settings){requirement(warn)}, person: person(at(ci)), request: exec(), reason: access.ReasonIssuerUnknown},
		"contexts are asked for beside methods":                                   {settings: []func(*access.Settings){classes}, person: person(loggedIn()), request: exec(), reason: access.ReasonContextMissing, says: []string{"context c2 or c3"}},
		"one context is enough":                                                   {settings: []func(*access.Settings){classes}, person: person(func(p *access.Person) { p.Context = "c3" }), request: exec(), allowed: true, reason: access.ReasonProven},
		"an empty context is none":                                                {settings: []func(*access.Settings){asks(func(r *access.Rule) { r.Contexts = []string{""} })}, person: person(), request: exec(), reason: access.ReasonContextMissing},
		"methods and contexts both have to be there":                              {settings: []func(*access.Settings){asks(func(r *access.Rule) { r.Methods, r.Contexts = [][]string{{"hwk"}}, []string{"c1"} })}, person: person(context), request: exec(), reason: access.ReasonMethodsMissing},
		"without any provider nothing can be proven":                              {settings: []func(*access.Settings){noProviders}, person: nobody("alice"), request: exec(), reason: access.ReasonNoProvider},
		"without any provider, Warn lets persons through, and says so":            {settings: []func(*access.Settings){noProviders, requirement(warn)}, person: nobody("alice"), request: exec(), allowed: true, reason: access.ReasonNoProvider, warnings: 1},
		"without any provider, Deny for logins is enough to refuse": {
			settings: []func(*access.Settings){noProviders, requirement(func(r *access.Requirement) { r.Training.OnUnproven = access.UnprovenWarn })}, person: nobody("alice"), request: exec(), reason: access.ReasonNoProvider,
		},
		"without any provider, Deny for training is enough to refuse": {
			settings: []func(*access.Settings){noProviders, requirement(func(r *access.Requirement) { r.MFA.OnUnproven = access.UnprovenWarn })}, person: nobody("alice"), request: exec(), reason: access.ReasonNoProvider,
		},
		"without any provider, Warn helps no machine": {settings: []func(*access.Settings){noProviders, requirement(warn)}, person: serviceAccount(lab, "default"), request: exec(), reason: access.ReasonUnlistedMachine},
	})
}

func noProviders(s *access.Settings) { s.Providers = nil }

func TestMachinesAreListedOrRefused(t *testing.T) {
	t.Parallel()
	run(t, map[string]decisionTest{
		"a ServiceAccount of the tenant is refused for exec":                                         {person: serviceAccount(lab, "ci"), request: exec(), reason: access.ReasonUnlistedMachine, says: []string{"system:serviceaccount:pathology:ci is not among the machines of labguard's configuration"}},
		"a ServiceAccount of the tenant is refused for a change, as every edit holder can become it": {person: serviceAccount(lab, "ci"), request: change("UPDATE", "deployments", "lis"), reason: access.ReasonUnlistedMachine},
		"a listed ServiceAccount may change":                                                         {person: serviceAccount("flux-system", "kustomize"), request: change("UPDATE", "deployments", "lis"), allowed: true, reason: access.ReasonListedMachine},
		"a listed ServiceAccount may get in":                                                         {person: serviceAccount("flux-system", "kustomize"), request: exec(), allowed: true, reason: access.ReasonListedMachine},
		"one of the same name in another namespace is another":                                       {person: serviceAccount(lab, "kustomize"), request: exec(), reason: access.ReasonUnlistedMachine},
		"a listed user without claims passes":                                                        {person: nobody("deployer"), request: exec(), allowed: true, reason: access.ReasonListedMachine},
		"a login that has its name does not":                                                         {person: person(func(p *access.Person) { p.User, p.Methods = "deployer", nil }), request: exec(), reason: access.ReasonMethodsMissing},
		"a listed user of its own issuer passes":                                                     {person: person(at(ci), loggedIn(), func(p *access.Person) { p.User = "runner" }), request: exec(), allowed: true, reason: access.ReasonListedMachine},
		"the same name from another issuer does not":                                                 {person: person(loggedIn(), func(p *access.Person) { p.User = "runner" }), request: exec(), reason: access.ReasonMethodsMissing},
		"a login that names no issuer does not, either":                                              {person: person(at(""), func(p *access.Person) { p.User = "deployer" }), request: exec(), reason: access.ReasonIssuerUnknown},
		"a listed user of an issuer does not pass without claims":                                    {person: nobody("runner"), request: exec(), reason: access.ReasonNoClaims},
		"a ServiceAccount with forged claims is refused":                                             {person: claiming(serviceAccount("flux-system", "kustomize")), request: exec(), reason: access.ReasonContradictoryIdentity},
		"a listed name without the groups of such a name is refused": {
			person: func() access.Person {
				p := serviceAccount("flux-system", "kustomize")
				p.Problems = []string{"groups"}
				return p
			}(), request: exec(), reason: access.ReasonContradictoryIdentity,
		},
		"the garbage collector is never asked":             {person: serviceAccount("kube-system", "generic-garbage-collector"), request: change("DELETE", "pods", "lis-0"), allowed: true, reason: access.ReasonNeverAsked},
		"the namespace controller is never asked":          {person: serviceAccount("kube-system", "namespace-controller"), request: change("DELETE", "deployments", "lis"), allowed: true, reason: access.ReasonNeverAsked},
		"the controller manager is never asked":            {person: system("system:kube-controller-manager"), request: change("CREATE", "pods", ""), allowed: true, reason: access.ReasonNeverAsked},
		"the API server is never asked":                    {person: system("system:apiserver"), request: change("CREATE", "endpointslices", "x"), allowed: true, reason: access.ReasonNeverAsked},
		"a node is never asked":                            {person: node("n1"), request: change("CREATE", "pods", "mirror"), allowed: true, reason: access.ReasonNeverAsked},
		"anonymous is not the system":                      {person: system("system:anonymous"), request: exec(), reason: access.ReasonUnlistedMachine},
		"a login that calls itself a component is refused": {person: claiming(system("system:kube-controller-manager")), request: exec(), reason: access.ReasonContradictoryIdentity},
		"a login that calls itself a node is refused":      {person: claiming(node("n1")), request: exec(), reason: access.ReasonContradictoryIdentity},
		"who impersonates a person together with a login cannot be told from the person, which is why ClaimsForgeable is reported": {
			person: person(), request: exec(), allowed: true, reason: access.ReasonProven,
		},
	})
}

func TestTokensOfListedMachinesNeedALoginToo(t *testing.T) {
	t.Parallel()
	off := func(s *access.Settings) { s.Tokens = &access.Requirement{} }
	own := func(s *access.Settings) {
		s.Tokens = &access.Requirement{Enforce: true, MFA: &access.Rule{Methods: [][]string{{"hwk"}}}}
	}
	run(t, map[string]decisionTest{
		"a person without a second factor gets no token": {
			person: person(loggedIn("pwd")), request: token("flux-system", "kustomize"), reason: access.ReasonMethodsMissing, says: []string{"labguard's configuration asks for a login with mfa"},
		},
		"a person whose login is too old gets none":          {person: person(ago(13 * time.Hour)), request: token("flux-system", "kustomize"), reason: access.ReasonLoginTooOld},
		"an account of the tenant gets none":                 {person: serviceAccount(lab, "ci"), request: token("flux-system", "kustomize"), reason: access.ReasonUnlistedMachine},
		"a person with a fresh login gets one":               {person: person(), request: token("flux-system", "kustomize"), allowed: true, reason: access.ReasonProven},
		"the kubelet gets one for its pods":                  {person: node("n1"), request: token("flux-system", "kustomize"), allowed: true, reason: access.ReasonNeverAsked},
		"a token of another account is nobody's business":    {person: nobody("alice"), request: token(lab, "ci"), allowed: true, reason: access.ReasonNotRequired},
		"the configuration may ask for more":                 {settings: []func(*access.Settings){own}, person: person(), request: token("flux-system", "kustomize"), reason: access.ReasonMethodsMissing},
		"the configuration may ask for nothing":              {settings: []func(*access.Settings){off}, person: nobody("alice"), request: token("flux-system", "kustomize"), allowed: true, reason: access.ReasonNotRequired},
		"a requirement of the namespace has no part in this": {person: nobody("alice"), request: token(lab, "default"), allowed: true, reason: access.ReasonNotRequired},
	})
}

func TestAChangeOfWhatRunsNeedsALoginAsWell(t *testing.T) {
	t.Parallel()
	accessOnly := requirement(func(r *access.Requirement) {
		r.MFA.Covers, r.Training.Covers = []access.Cover{access.Access}, []access.Cover{access.Access}
	})
	changeOnly := requirement(func(r *access.Requirement) { r.Training, r.MFA.Covers = nil, []access.Cover{access.Change} })
	other := requirement(func(r *access.Requirement) { r.Pods = labels.SelectorFromSet(labels.Set{"app": "lis"}) })
	withLabels := func(request access.Request, set labels.Set) access.Request { request.Pod = set; return request }
	run(t, map[string]decisionTest{
		"a pod with any command is refused without a second factor": {
			person: person(loggedIn("pwd")), request: change("CREATE", "pods", "shell"), reason: access.ReasonMethodsMissing, says: []string{"CREATE of pods shell in namespace pathology"},
		},
		"the command of a Deployment is refused without one":   {person: person(loggedIn("pwd")), request: change("UPDATE", "deployments", "lis"), reason: access.ReasonMethodsMissing},
		"the deletion of a Deployment is refused without one":  {person: person(loggedIn("pwd")), request: change("DELETE", "deployments", "lis"), reason: access.ReasonMethodsMissing},
		"a RoleBinding is refused without one":                 {person: person(loggedIn("pwd")), request: change("CREATE", "rolebindings", "me"), reason: access.ReasonMethodsMissing},
		"the deletion of a LabWorkload is refused without one": {person: person(loggedIn("pwd")), request: change("DELETE", "labworkloads", "lis"), reason: access.ReasonMethodsMissing},
		"labels of the pod are no way out of a change":         {settings: []func(*access.Settings){other}, person: person(loggedIn("pwd")), request: withLabels(change("CREATE", "pods", "shell"), labels.Set{"app": "x"}), reason: access.ReasonMethodsMissing},
		"a person with a fresh login may change":               {person: person(), request: change("UPDATE", "deployments", "lis"), allowed: true, reason: access.ReasonProven},
		"covers Access leaves changes alone":                   {settings: []func(*access.Settings){accessOnly}, person: nobody("alice"), request: change("CREATE", "pods", "shell"), allowed: true, reason: access.ReasonNotRequired},
		"covers Access asks for access":                        {settings: []func(*access.Settings){accessOnly}, person: nobody("alice"), request: exec(), reason: access.ReasonNoClaims},
		"covers Change leaves access alone":                    {settings: []func(*access.Settings){changeOnly}, person: nobody("alice"), request: exec(), allowed: true, reason: access.ReasonNotRequired},
		"exec into a pod that the selector takes":              {settings: []func(*access.Settings){other}, person: nobody("alice"), request: withLabels(exec(), labels.Set{"app": "lis"}), reason: access.ReasonNoClaims},
		"exec into a pod that it does not take":                {settings: []func(*access.Settings){other}, person: nobody("alice"), request: withLabels(exec(), labels.Set{"app": "x"}), allowed: true, reason: access.ReasonNotRequired},
		"exec into a pod without labels":                       {settings: []func(*access.Settings){other}, person: nobody("alice"), request: withLabels(exec(), labels.Set{}), allowed: true, reason: access.ReasonNotRequired},
		"exec into a pod whose labels nobody knows":            {settings: []func(*access.Settings){other}, person: nobody("alice"), request: exec(), reason: access.ReasonNoClaims},
	})
}

func TestBreakGlassIsNeverLockedOut(t *testing.T) {
	t.Parallel()
	named := func(name string) []func(*access.Settings) {
		return []func(*access.Settings){func(s *access.Settings) { s.BreakGlassGroup = name }}
	}
	run(t, map[string]decisionTest{
		"a member without any login gets in":                {person: nobody("night", v1alpha1.BreakGlassGroup), request: exec(), allowed: true, reason: access.ReasonBreakGlass},
		"a member without any login may change":             {person: nobody("night", v1alpha1.BreakGlassGroup), request: change("DELETE", "labworkloads", "lis"), allowed: true, reason: access.ReasonBreakGlass},
		"a member is noted where nothing asks, too":         {person: nobody("night", v1alpha1.BreakGlassGroup), request: token(lab, "x"), allowed: true, reason: access.ReasonBreakGlass},
		"a member gets in where there is no provider":       {settings: []func(*access.Settings){noProviders}, person: nobody("night", v1alpha1.BreakGlassGroup), request: exec(), allowed: true, reason: access.ReasonBreakGlass},
		"another name of the group":                         {settings: named("night-shift"), person: person(loggedIn(), member("night-shift")), request: exec(), allowed: true, reason: access.ReasonBreakGlass},
		"the default one is then a group like others":       {settings: named("night-shift"), person: nobody("night", v1alpha1.BreakGlassGroup), request: exec(), reason: access.ReasonNoClaims},
		"a group that everybody is in is none":              {settings: named("system:authenticated"), person: person(loggedIn()), request: exec(), reason: access.ReasonMethodsMissing},
		"a group that every machine is in is none":          {settings: named("system:serviceaccounts"), person: serviceAccount(lab, "ci"), request: exec(), reason: access.ReasonUnlistedMachine},
		"a group with a name that only begins so is no way": {person: nobody("night", v1alpha1.BreakGlassGroup+"2"), request: exec(), reason: access.ReasonNoClaims},
	})
}

func TestTrainingIsAskedForBesideTheLogin(t *testing.T) {
	t.Parallel()
	alone := requirement(func(r *access.Requirement) { r.MFA = nil })
	mia := func(subject string) access.Person { return person(func(p *access.Person) { p.Subject = subject }) }
	run(t, map[string]decisionTest{
		"without the course":                               {person: person(), request: exec(), records: records{}, reason: access.ReasonTrainingMissing, says: []string{"take the course phishing-basics"}},
		"with the course of the same person elsewhere":     {person: person(), request: exec(), records: records{{entra, "mia"}: {phishing}}, reason: access.ReasonTrainingMissing},
		"a subject that looks alike is another":            {person: mia("mi\u0430"), request: exec(), reason: access.ReasonTrainingMissing},
		"a subject that differs in case is another":        {person: mia("Mia"), request: exec(), reason: access.ReasonTrainingMissing},
		"a subject that could not be read matches nothing": {person: mia(""), request: exec(), records: records{{idp, ""}: {phishing}}, reason: access.ReasonSubjectUnknown, says: []string{"subjectClaim"}},
		"training alone, with a weak login":                {settings: []func(*access.Settings){alone}, person: person(loggedIn("pwd"), ago(999*time.Hour)), request: exec(), allowed: true, reason: access.ReasonProven},
		"training alone still needs to know who it is":     {settings: []func(*access.Settings){alone}, person: nobody("mia"), request: exec(), reason: access.ReasonNoClaims},
		"a change needs it, too":                           {person: person(), request: change("UPDATE", "deployments", "lis"), records: records{}, reason: access.ReasonTrainingMissing},
		"several courses are told": {
			settings: []func(*access.Settings){requirement(func(r *access.Requirement) { r.Training.Names = []string{phishing, "gdpr", "fire"} })}, person: person(), request: exec(), reason: access.ReasonTrainingMissing,
			says: []string{"take the course gdpr and fire"},
		},
		"a list of no courses asks for nothing": {settings: []func(*access.Settings){requirement(func(r *access.Requirement) { r.MFA, r.Training.Names = nil, nil })}, person: nobody("alice"), request: exec(), allowed: true, reason: access.ReasonNotRequired},
	})
}

func TestUnderAuditEverybodyIsLetInAndToldWhatEnforceWouldDo(t *testing.T) {
	t.Parallel()
	audited := []func(*access.Settings){requirement(audit)}
	second := func(s *access.Settings) {
		s.Requirements[lab] = append(s.Requirements[lab], access.Requirement{Workload: "archive", MFA: &access.Rule{Methods: [][]string{{"hwk"}}}})
	}
	run(t, map[string]decisionTest{
		"a weak login":              {settings: audited, person: person(loggedIn("pwd")), request: exec(), allowed: true, reason: access.ReasonMethodsMissing, warnings: 1, says: []string{"would be refused if it were enforced (MethodsMissing): LabWorkload lis asks"}},
		"two reasons, two warnings": {settings: audited, person: person(loggedIn("pwd")), request: exec(), records: records{}, allowed: true, reason: access.ReasonMethodsMissing, warnings: 2},
		"a machine":                 {settings: audited, person: serviceAccount(lab, "ci"), request: exec(), allowed: true, reason: access.ReasonUnlistedMachine, warnings: 1},
		"a good login":              {settings: audited, person: person(), request: exec(), allowed: true, reason: access.ReasonProven},
		"one that enforces and one at Audit": {
			settings: []func(*access.Settings){second}, person: person(loggedIn("pwd")), request: exec(), reason: access.ReasonMethodsMissing, warnings: 1,
			says: []string{"LabWorkload lis asks for a login with mfa", "LabWorkload archive asks for a login with hwk"},
		},
		"what refuses gives the reason, whatever Audit would say first": {
			settings: []func(*access.Settings){second}, person: person(ago(13 * time.Hour)), request: exec(), reason: access.ReasonLoginTooOld, warnings: 1,
		},
		"good enough for the one that enforces": {settings: []func(*access.Settings){second}, person: person(), request: exec(), allowed: true, reason: access.ReasonMethodsMissing, warnings: 1},
	})
}

func TestWhatIsNotKnownRefuses(t *testing.T) {
	t.Parallel()
	if (access.Answer{}).Allowed {
		t.Error("the zero value of an answer allows")
	}
	policy := access.Arrange(settings())
	for name, test := range map[string]struct {
		input access.Input
		want  access.Reason
	}{
		"nothing at all":         {access.Input{}, access.ReasonNotConfigured},
		"no policy":              {access.Input{Person: person(), Request: exec(), Missing: trained.missing, Now: now}, access.ReasonNotConfigured},
		"no request":             {access.Input{Policy: policy, Person: person(), Missing: trained.missing, Now: now}, access.ReasonInvalidRequest},
		"no person":              {access.Input{Policy: policy, Request: exec(), Missing: trained.missing, Now: now}, access.ReasonNoClaims},
		"no training records":    {access.Input{Policy: policy, Person: person(), Request: exec(), Now: now}, access.ReasonTrainingUnknown},
		"no clock":               {access.Input{Policy: policy, Person: person(), Request: exec(), Missing: trained.missing}, access.ReasonLoginTimeUnknown},
		"settings without value": {access.Input{Policy: access.Arrange(access.Settings{}), Request: token("", "")}, access.ReasonNotRequired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := access.Decide(test.input)
			if got.Reason != test.want || got.Allowed != (test.want == access.ReasonNotRequired) {
				t.Errorf("allowed %t for %q, want %q", got.Allowed, got.Reason, test.want)
			}
		})
	}
	if got := access.Decide(access.Input{Person: nobody("night", v1alpha1.BreakGlassGroup)}); !got.Allowed || got.Reason != access.ReasonBreakGlass {
		t.Errorf("without a policy the emergency gets %+v", got)
	}
}

func TestEveryAnswerCarriesItsAnnotations(t *testing.T) {
	t.Parallel()
	many := func(s *access.Settings) {
		for _, name := range []string{"e", "d", "c", "b", "a"} {
			s.Requirements[lab] = append(s.Requirements[lab], access.Requirement{Workload: name, MFA: &access.Rule{}})
		}
	}
	for name, test := range map[string]struct {
		settings func(*access.Settings)
		person   access.Person
		request  access.Request
		want     map[string]string
	}{
		"allowed": {nil, person(), exec(), map[string]string{"decision": "allowed", "reason": "Proven", "cover": "Access", "kind": "Person", "requirements": "lis"}},
		"refused": {nil, person(loggedIn("pwd")), func() access.Request { r := change("CREATE", "pods", "x"); r.DryRun = true; return r }(), map[string]string{
			"decision": "refused", "reason": "MethodsMissing", "cover": "Change", "kind": "Person", "requirements": "lis", "dry-run": "true",
		}},
		"audited": {requirement(audit), serviceAccount(lab, "ci"), exec(), map[string]string{
			"decision": "audited", "reason": "UnlistedMachine", "cover": "Access", "kind": "ServiceAccount", "requirements": "lis", "audited": "UnlistedMachine",
		}},
		"warned": {requirement(warn), person(at(google)), exec(), map[string]string{
			"decision": "warned", "reason": "ProviderCannotProve", "cover": "Access", "kind": "Person", "requirements": "lis", "unproven": "ProviderCannotProve",
		}},
		"break glass": {nil, nobody("night", v1alpha1.BreakGlassGroup), exec(), map[string]string{"decision": "allowed", "reason": "BreakGlass", "cover": "Access", "kind": "Person"}},
		"many LabWorkloads": {many, person(), exec(), map[string]string{
			"decision": "allowed", "reason": "Proven", "cover": "Access", "kind": "Person", "requirements": "a, b, c and 3 more",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := settings()
			if test.settings != nil {
				test.settings(&s)
			}
			got := access.Decide(access.Input{Policy: access.Arrange(s), Person: test.person, Request: test.request, Missing: trained.missing, Now: now})
			if diff := cmp.Diff(test.want, got.Annotations); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
		})
	}
}
