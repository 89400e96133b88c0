// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	webhook "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
)

// ways are all ways into a pod that admission sees.
var ways = map[string]func(user) webhook.Request{
	"exec":         exec,
	"attach":       func(u user) webhook.Request { return request(u, admissionv1.Connect, "pods/attach", "lis-0") },
	"port-forward": func(u user) webhook.Request { return request(u, admissionv1.Connect, "pods/portforward", "lis-0") },
	"proxy":        func(u user) webhook.Request { return request(u, admissionv1.Connect, "pods/proxy", "https:lis-0:8443") },
	"Service":      func(u user) webhook.Request { return request(u, admissionv1.Connect, "services/proxy", "lis:http") },
	"debug": func(u user) webhook.Request {
		return request(u, admissionv1.Update, "pods/ephemeralcontainers", "lis-0")
	},
}

// changes are writes of what runs, of what leads to it, and of labguard's own kinds.
var changes = map[string]func(user) webhook.Request{
	"create a pod":            func(u user) webhook.Request { return request(u, admissionv1.Create, "pods", "") },
	"update a Deployment":     func(u user) webhook.Request { return request(u, admissionv1.Update, "deployments", "lis") },
	"delete a Service":        func(u user) webhook.Request { return request(u, admissionv1.Delete, "services", "lis") },
	"delete a network policy": func(u user) webhook.Request { return request(u, admissionv1.Delete, "networkpolicies", "lis") },
	"create a RoleBinding":    func(u user) webhook.Request { return request(u, admissionv1.Create, "rolebindings", "lis") },
	"update the LabWorkload":  func(u user) webhook.Request { return request(u, admissionv1.Update, "labworkloads", "lis") },
}

func TestWhoGetsInAndWhoChangesWhatRuns(t *testing.T) {
	for name, test := range map[string]struct {
		who    user
		reason string
		// refused is for all ways and changes.
		refused bool
		says    string
	}{
		"a second factor, lately, and trained": {who: mia(), reason: "Proven"},
		"a password alone":                     {mia(claim("amr", "pwd")), "MethodsMissing", true, "asks for a login with mfa: log in again at " + idp},
		"two factors that are one":             {mia(claim("amr", "pwd", "kba")), "MethodsMissing", true, "second factor"},
		"no methods":                           {mia(claim("amr")), "MethodsMissing", true, "second factor"},
		"a login of yesterday":                 {mia(claim("auth-time", seconds(now.Add(-24*time.Hour)))), "LoginTooOld", true, "a login of the last 12 hours: log in again"},
		"a login of the future":                {mia(claim("auth-time", seconds(now.Add(time.Hour)))), "LoginTimeUnknown", true, "could be read"},
		"a time as a double":                   {mia(claim("auth-time", "1.7e+09")), "LoginTimeUnknown", true, "not digits alone"},
		"nobody trained":                       {mia(claim("subject", "eve")), "TrainingMissing", true, "take the course " + phishing},
		"a subject that only looks the same":   {mia(claim("subject", "mi\u0430")), "TrainingMissing", true, "take the course " + phishing},
		"a subject with what nobody sees":      {mia(claim("subject", "mia\u200b")), "SubjectUnknown", true, "invisible characters"},
		"no subject":                           {mia(claim("subject")), "SubjectUnknown", true, "subjectClaim"},
		"an issuer that nobody knows":          {mia(claim("issuer", "https://ci.example")), "IssuerUnknown", true, entra + " or " + idp},
		"claims of no issuer":                  {mia(claim("issuer")), "IssuerUnknown", true, "log in at"},
		"a client certificate":                 {certificate("jane"), "NoClaims", true, "not with a certificate"},
		"an administrator's certificate":       {certificate("kubernetes-admin", "system:masters"), "NoClaims", true, "log in at"},
		"a machine of the tenant":              {serviceAccount(lab, "ci"), "UnlistedMachine", true, "not among the machines"},
		"a listed machine":                     {serviceAccount("flux-system", "kustomize"), "ListedMachine", false, ""},
		"a listed machine with claims":         {withClaims(serviceAccount("flux-system", "kustomize")), "ContradictoryIdentity", true, "log in as a person"},
		"a listed user":                        {certificate("deployer"), "ListedMachine", false, ""},
		"a listed user of an issuer":           {mia(claim("issuer", "https://ci.example"), named("runner")), "IssuerUnknown", true, ""},
		"labguard itself":                      {serviceAccount("labguard-system", "labguard"), "ListedMachine", false, ""},
		"somebody with labguard's name":        {certificate(labguard), "ContradictoryIdentity", true, ""},
		"the garbage collector":                {serviceAccount("kube-system", "generic-garbage-collector"), "NeverAsked", false, ""},
		"the controller manager":               {certificate("system:kube-controller-manager"), "NeverAsked", false, ""},
		"a node":                               {certificate("system:node:n1", "system:nodes"), "NeverAsked", false, ""},
		"break glass":                          {certificate("night", emergency), "BreakGlass", false, ""},
		"Entra, in its own words":              {mia(claim("issuer", entra), claim("amr"), claim("acr", "c1"), claim("subject", "pairwise"), claim("entra.example/oid", "eve")), "TrainingMissing", true, phishing},
		"Entra, another context":               {mia(claim("issuer", entra), claim("acr", "c0")), "ContextMissing", true, "context c1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, laboratory()...)
			for what, asking := range join(ways, changes) {
				got := s.ask(t, asking(test.who))
				if got.Allowed == test.refused || got.AuditAnnotations["reason"] != test.reason {
					t.Errorf("%s: allowed %t for %s: %s", what, got.Allowed, got.AuditAnnotations["reason"], got.Result.Message)
				}
				if test.refused && (got.Result.Code != http.StatusForbidden || !strings.Contains(got.Result.Message, test.says)) {
					t.Errorf("%s: %d %q, want %q", what, got.Result.Code, got.Result.Message, test.says)
				}
			}
		})
	}
}

// platform are writes of what all answers rest on.
var platform = map[string]func(user) webhook.Request{
	"acknowledge": func(u user) webhook.Request { return request(u, admissionv1.Update, "breakglassuses", "night") },
	"record a course": func(u user) webhook.Request {
		return withoutNamespace(request(u, admissionv1.Create, "trainingrecords", "eve"))
	},
	"change a provider": func(u user) webhook.Request {
		return withoutNamespace(request(u, admissionv1.Update, "identityproviders", "idp"))
	},
}

func withoutNamespace(asked webhook.Request) webhook.Request {
	asked.Namespace = ""
	return asked
}

// TestWhatAnswersRestOnNeedsALogin wherever it stands, and no course: whoever records courses may be in no laboratory.
func TestWhatAnswersRestOnNeedsALogin(t *testing.T) {
	objects := laboratory()
	for _, object := range objects {
		if provider, is := object.(*v1alpha1.IdentityProvider); is {
			provider.Status.ClaimsSeenAt = new(metav1.NewTime(now))
		}
	}
	s := newSite(t, objects...)
	for name, test := range map[string]struct {
		who    user
		reason string
	}{
		"a second factor, lately":     {mia(), "Proven"},
		"without a course":            {mia(claim("subject", "eve")), "Proven"},
		"a password alone":            {mia(claim("amr", "pwd")), "MethodsMissing"},
		"a login of yesterday":        {mia(claim("auth-time", seconds(now.Add(-24*time.Hour)))), "LoginTooOld"},
		"an administrator's own file": {certificate("kubernetes-admin", "system:masters"), "NoClaims"},
		"a machine of nobody's":       {serviceAccount(lab, "ci"), "UnlistedMachine"},
		"a listed machine":            {serviceAccount("flux-system", "kustomize"), "ListedMachine"},
		"labguard itself":             {serviceAccount("labguard-system", "labguard"), "ListedMachine"},
	} {
		for what, asking := range platform {
			got := s.ask(t, asking(test.who))
			if reason := got.AuditAnnotations["reason"]; reason != test.reason || got.AuditAnnotations["cover"] != "Platform" {
				t.Errorf("%s: %s: %s (%s)", name, what, reason, got.Result.Message)
			}
		}
	}
	if all, _ := s.counted(""); all != 2 { // IdentityProviders, once for what is in the namespace and once for what is in none
		t.Errorf("%d lists of the whole cluster", all)
	}
}

// TestAProviderIsWrittenByWhoeverMayUntilALoginWasSeen: before that nobody can prove anything, and one with a mistake has to be put right.
func TestAProviderIsWrittenByWhoeverMayUntilALoginWasSeen(t *testing.T) {
	s := newSite(t, workload(), identityProvider())
	s.tell(identityProvider())
	change := func(want string) {
		t.Helper()
		if got := s.ask(t, platform["change a provider"](certificate("kubernetes-admin", "system:masters"))); got.AuditAnnotations["reason"] != want {
			t.Errorf("%s, want %s", got.AuditAnnotations["reason"], want)
		}
	}
	change("NotRequired")
	seen := identityProvider(func(p *v1alpha1.IdentityProvider) { p.Status.ClaimsSeenAt = new(metav1.NewTime(now)) })
	s.put(t, seen)
	change("NoClaims")
	s.put(t, identityProvider(func(p *v1alpha1.IdentityProvider) { p.Generation = 2 })) // it proves something else now, and nobody has shown that yet
	change("NotRequired")
}

// TestWhatNobodyCanProveKeepsNobodyFromThePlatform: somebody has to record courses in a cluster whose logins say nothing. The token of a machine is another matter.
func TestWhatNobodyCanProveKeepsNobodyFromThePlatform(t *testing.T) {
	token := request(certificate("jane"), admissionv1.Create, "serviceaccounts/token", "kustomize")
	token.Namespace = "flux-system"
	s := newSite(t, workload())
	for what, test := range map[string]struct {
		asked   webhook.Request
		allowed bool
	}{
		"a course":           {platform["record a course"](certificate("jane")), true},
		"an acknowledgement": {platform["acknowledge"](certificate("jane")), true},
		"a token":            {token, false},
	} {
		if got := s.ask(t, test.asked); got.Allowed != test.allowed || test.allowed && len(got.Warnings) == 0 {
			t.Errorf("%s: allowed %t, warnings %q", what, got.Allowed, got.Warnings)
		}
	}
}

// TestWhatALaboratoryAsksForIsChangedWithALogin, whatever it covers: otherwise a change of it would be a way into its pods.
func TestWhatALaboratoryAsksForIsChangedWithALogin(t *testing.T) {
	for _, cover := range []v1alpha1.AccessCover{v1alpha1.CoverAccess, v1alpha1.CoverChange} {
		s := newSite(t, laboratory(func(w *v1alpha1.LabWorkload) {
			w.Spec.MFA.Covers, w.Spec.Training.Covers = []v1alpha1.AccessCover{cover}, []v1alpha1.AccessCover{cover}
		})...)
		for _, operation := range []admissionv1.Operation{admissionv1.Create, admissionv1.Update, admissionv1.Delete} {
			for who, reason := range map[string]string{"pwd": "MethodsMissing", "mfa": "Proven"} {
				got := s.ask(t, request(mia(claim("amr", who)), operation, "labworkloads", "lis"))
				if got.AuditAnnotations["reason"] != reason || got.AuditAnnotations["cover"] != "Posture" {
					t.Errorf("%s, with %s, where %s is covered: %v", operation, who, cover, got.AuditAnnotations)
				}
			}
		}
	}
}

func named(name string) func(*user) { return func(u *user) { u.Username = name } }

func withClaims(who user) user {
	who.Extra = mia().Extra
	return who
}

func join(all ...map[string]func(user) webhook.Request) map[string]func(user) webhook.Request {
	joined := map[string]func(user) webhook.Request{}
	for _, each := range all {
		maps.Copy(joined, each)
	}
	return joined
}

func TestAListedUserPassesWithTheIssuerThatVouchesForIt(t *testing.T) {
	objects := append(laboratory(), identityProvider(func(p *v1alpha1.IdentityProvider) { p.Name, p.Spec.Issuer = "ci", "https://ci.example" }))
	s := newSite(t, objects...)
	for name, test := range map[string]struct {
		who  user
		want string
	}{
		"its own issuer":  {mia(claim("issuer", "https://ci.example"), claim("amr", "pwd"), named("runner")), "ListedMachine"},
		"another issuer":  {mia(claim("amr", "pwd"), named("runner")), "MethodsMissing"},
		"no issuer":       {certificate("runner"), "NoClaims"},
		"another account": {mia(claim("issuer", "https://ci.example"), claim("amr", "pwd"), named("Runner")), "MethodsMissing"},
	} {
		if got := s.ask(t, exec(test.who)); got.AuditAnnotations["reason"] != test.want {
			t.Errorf("%s: %v", name, got.AuditAnnotations)
		}
	}
}

func TestTheTokenOfAListedMachineNeedsALogin(t *testing.T) {
	s := newSite(t, laboratory()...)
	token := func(who user, namespace, name string) webhook.Request {
		asked := request(who, admissionv1.Create, "serviceaccounts/token", name)
		asked.Namespace = namespace
		return asked
	}
	for name, test := range map[string]struct {
		asked webhook.Request
		want  string
	}{
		"with a second factor":        {token(mia(), "flux-system", "kustomize"), "Proven"},
		"without":                     {token(mia(claim("amr", "pwd")), "flux-system", "kustomize"), "MethodsMissing"},
		"by a certificate":            {token(certificate("jane"), "flux-system", "kustomize"), "NoClaims"},
		"by another machine":          {token(serviceAccount("flux-system", "other"), "flux-system", "kustomize"), "UnlistedMachine"},
		"by the machine itself":       {token(serviceAccount("flux-system", "kustomize"), "flux-system", "kustomize"), "ListedMachine"},
		"by a node":                   {token(certificate("system:node:n1", "system:nodes"), "flux-system", "kustomize"), "NeverAsked"},
		"of another account there":    {token(certificate("jane"), "flux-system", "other"), "NotRequired"},
		"of labguard":                 {token(certificate("jane"), "labguard-system", "labguard"), "NoClaims"},
		"in a namespace of the rules": {token(certificate("jane"), lab, "kustomize"), "NotRequired"},
	} {
		got := s.ask(t, test.asked)
		if got.AuditAnnotations["reason"] != test.want || got.AuditAnnotations["cover"] != "Token" {
			t.Errorf("%s: %v", name, got.AuditAnnotations)
		}
	}
}

func TestOnlyThePodsThatALabWorkloadSelectsAreAskedAbout(t *testing.T) {
	s := newSite(t, laboratory()...)
	who := mia(claim("amr", "pwd"))
	for name, test := range map[string]struct {
		asked webhook.Request
		want  string
	}{
		"a pod that is selected":           {exec(who), "MethodsMissing"},
		"a pod that is not":                {request(who, admissionv1.Connect, "pods/exec", "other-0"), "NotRequired"},
		"a pod that nobody knows yet":      {request(who, admissionv1.Connect, "pods/exec", "lis-1"), "MethodsMissing"},
		"a port of one that is not":        {request(who, admissionv1.Connect, "pods/proxy", "other-0:8080"), "NotRequired"},
		"with a scheme":                    {request(who, admissionv1.Connect, "pods/proxy", "https:other-0:"), "NotRequired"},
		"with a scheme that is none":       {request(who, admissionv1.Connect, "pods/proxy", "ftp:other-0:21"), "MethodsMissing"},
		"a name that exec does not split":  {request(who, admissionv1.Connect, "pods/exec", "other-0:8080"), "MethodsMissing"},
		"debug of one that is not":         {request(who, admissionv1.Update, "pods/ephemeralcontainers", "other-0"), "NotRequired"},
		"a Service, whatever is behind it": {request(who, admissionv1.Connect, "services/proxy", "other-0"), "MethodsMissing"},
		"a change of one that is not":      {request(who, admissionv1.Update, "pods", "other-0"), "MethodsMissing"},
	} {
		if got := s.ask(t, test.asked); got.AuditAnnotations["reason"] != test.want {
			t.Errorf("%s: %v", name, got.AuditAnnotations)
		}
	}
}

func TestARequestOfNoSortIsRefused(t *testing.T) {
	s := newSite(t, laboratory()...)
	other := exec(mia())
	other.Resource.Group = "metrics.k8s.io"
	for name, asked := range map[string]webhook.Request{
		"the scale of a Deployment":         request(mia(), admissionv1.Update, "deployments/scale", "lis"),
		"an eviction":                       request(mia(), admissionv1.Create, "pods/eviction", "lis-0"),
		"exec of another group":             other,
		"a debug container that is created": request(mia(), admissionv1.Create, "pods/ephemeralcontainers", "lis-0"),
		"exec that is created":              request(mia(), admissionv1.Create, "pods/exec", "lis-0"),
		"the proxy of a node":               request(mia(), admissionv1.Connect, "nodes/proxy", "n1"),
		"an operation of no name":           request(mia(), "", "pods", "lis-0"),
	} {
		if got := s.ask(t, asked); got.Allowed || got.AuditAnnotations["reason"] != "InvalidRequest" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestWhatIsInForce(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*v1alpha1.LabWorkloadSpec)
		who    user
		// decision is that of exec, and warns says that there is a warning.
		decision, reason string
	}{
		"all enforced":                         {nothing, mia(claim("amr", "pwd")), "refused", "MethodsMissing"},
		"Audit":                                {func(s *v1alpha1.LabWorkloadSpec) { s.Enforcement = v1alpha1.EnforcementAudit }, mia(claim("amr", "pwd")), "audited", "MethodsMissing"},
		"no enforcement named":                 {func(s *v1alpha1.LabWorkloadSpec) { s.Enforcement = "" }, mia(claim("amr", "pwd")), "audited", "MethodsMissing"},
		"suspended, which changes nothing":     {func(s *v1alpha1.LabWorkloadSpec) { s.Suspend = true }, mia(claim("amr", "pwd")), "refused", "MethodsMissing"},
		"the login alone at Audit":             {func(s *v1alpha1.LabWorkloadSpec) { s.MFA.Enforcement = v1alpha1.EnforcementAudit }, mia(claim("amr", "pwd")), "audited", "MethodsMissing"},
		"the login alone at Audit, untrained":  {func(s *v1alpha1.LabWorkloadSpec) { s.MFA.Enforcement = v1alpha1.EnforcementAudit }, mia(claim("subject", "eve")), "refused", "TrainingMissing"},
		"training alone at Audit":              {func(s *v1alpha1.LabWorkloadSpec) { s.Training.Enforcement = v1alpha1.EnforcementAudit }, mia(claim("subject", "eve")), "audited", "TrainingMissing"},
		"training alone at Audit, no factor":   {func(s *v1alpha1.LabWorkloadSpec) { s.Training.Enforcement = v1alpha1.EnforcementAudit }, mia(claim("amr", "pwd")), "refused", "MethodsMissing"},
		"Enforce beside Audit":                 {func(s *v1alpha1.LabWorkloadSpec) { s.Enforcement, s.MFA.Enforcement = "", v1alpha1.EnforcementEnforce }, mia(claim("amr", "pwd")), "refused", "MethodsMissing"},
		"later":                                {func(s *v1alpha1.LabWorkloadSpec) { s.EnforceAfter = "2026-11-27" }, mia(claim("amr", "pwd")), "audited", "MethodsMissing"},
		"a day that never comes":               {func(s *v1alpha1.LabWorkloadSpec) { s.EnforceAfter = "2026-02-30" }, mia(claim("amr", "pwd")), "audited", "MethodsMissing"},
		"since today":                          {func(s *v1alpha1.LabWorkloadSpec) { s.EnforceAfter = "2026-11-26" }, mia(claim("amr", "pwd")), "refused", "MethodsMissing"},
		"no login":                             {func(s *v1alpha1.LabWorkloadSpec) { s.MFA = nil }, mia(claim("amr", "pwd")), "allowed", "Proven"},
		"no training":                          {func(s *v1alpha1.LabWorkloadSpec) { s.Training = nil }, mia(claim("subject", "eve")), "allowed", "Proven"},
		"neither":                              {func(s *v1alpha1.LabWorkloadSpec) { s.MFA, s.Training = nil, nil }, certificate("jane"), "allowed", "NotRequired"},
		"Change alone":                         {func(s *v1alpha1.LabWorkloadSpec) { s.MFA.Covers, s.Training = change, nil }, certificate("jane"), "allowed", "NotRequired"},
		"other methods":                        {func(s *v1alpha1.LabWorkloadSpec) { s.MFA.Methods = sets("hwk") }, mia(), "refused", "MethodsMissing"},
		"one of several sets":                  {func(s *v1alpha1.LabWorkloadSpec) { s.MFA.Methods = sets("hwk", "pwd otp") }, mia(), "allowed", "Proven"},
		"a context too":                        {func(s *v1alpha1.LabWorkloadSpec) { s.MFA.Contexts = []v1alpha1.AuthenticationContext{"aal3"} }, mia(), "refused", "ContextMissing"},
		"half an hour":                         {func(s *v1alpha1.LabWorkloadSpec) { s.MFA.MaxAge = "30m" }, mia(), "refused", "LoginTooOld"},
		"no age, which is 12 hours":            {func(s *v1alpha1.LabWorkloadSpec) { s.MFA.MaxAge = "" }, mia(claim("auth-time", seconds(now.Add(-13*time.Hour)))), "refused", "LoginTooOld"},
		"an age that cannot be read":           {func(s *v1alpha1.LabWorkloadSpec) { s.MFA.MaxAge = "12" }, mia(), "refused", "LoginTooOld"},
		"an age below zero":                    {func(s *v1alpha1.LabWorkloadSpec) { s.MFA.MaxAge = "-12h" }, mia(), "refused", "LoginTooOld"},
		"no age at all":                        {func(s *v1alpha1.LabWorkloadSpec) { s.MFA.MaxAge = "0s" }, mia(), "refused", "LoginTooOld"},
		"a course of the last half an hour":    {func(s *v1alpha1.LabWorkloadSpec) { s.Training.MaxAge = "30m" }, mia(), "refused", "TrainingMissing"},
		"an age of training that is none":      {func(s *v1alpha1.LabWorkloadSpec) { s.Training.MaxAge = "soon" }, mia(), "refused", "TrainingMissing"},
		"two courses":                          {func(s *v1alpha1.LabWorkloadSpec) { s.Training.Courses = []v1alpha1.Course{phishing, "gdpr"} }, mia(), "refused", "TrainingMissing"},
		"what a provider cannot prove":         {nothing, mia(claim("issuer", entra), claim("acr", "c1"), claim("entra.example/oid", "mia")), "refused", "TrainingMissing"},
		"methods that a provider cannot prove": {func(s *v1alpha1.LabWorkloadSpec) { s.MFA.Methods, s.Training = sets("mfa"), nil }, mia(claim("issuer", entra)), "refused", "ProviderCannotProve"},
		"Warn about those": {func(s *v1alpha1.LabWorkloadSpec) {
			s.MFA.Methods, s.Training, s.MFA.OnUnproven = sets("mfa"), nil, v1alpha1.OnUnprovenWarn
		}, mia(claim("issuer", entra)), "warned", "ProviderCannotProve"},
		"a selector that cannot be read": {func(s *v1alpha1.LabWorkloadSpec) {
			s.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Like"}}
		}, mia(claim("amr", "pwd")), "refused", "MethodsMissing"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, laboratory(func(w *v1alpha1.LabWorkload) { test.change(&w.Spec) })...)
			got := s.ask(t, exec(test.who))
			if got.AuditAnnotations["decision"] != test.decision || got.AuditAnnotations["reason"] != test.reason {
				t.Errorf("%v: %s", got.AuditAnnotations, got.Result.Message)
			}
			if warns := test.decision == "audited" || test.decision == "warned"; warns != (len(got.Warnings) > 0) || got.Allowed != (test.decision != "refused") {
				t.Errorf("allowed %t with warnings %q", got.Allowed, got.Warnings)
			}
		})
	}
}

func nothing(*v1alpha1.LabWorkloadSpec) {}

var change = []v1alpha1.AccessCover{v1alpha1.CoverChange}

func sets(all ...string) []v1alpha1.AuthenticationMethods {
	var methods []v1alpha1.AuthenticationMethods
	for _, set := range all {
		var one v1alpha1.AuthenticationMethods
		for method := range strings.FieldsSeq(set) {
			one = append(one, v1alpha1.AuthenticationMethod(method))
		}
		methods = append(methods, one)
	}
	return methods
}

func TestWithoutAnyProviderOnUnprovenDecides(t *testing.T) {
	for onUnproven, want := range map[v1alpha1.OnUnproven]string{"": "refused", v1alpha1.OnUnprovenDeny: "refused", v1alpha1.OnUnprovenWarn: "warned"} {
		s := newSite(t, workload(func(w *v1alpha1.LabWorkload) { w.Spec.MFA.OnUnproven = onUnproven }))
		if got := s.ask(t, exec(certificate("jane"))); got.AuditAnnotations["decision"] != want || got.AuditAnnotations["reason"] != "NoProvider" {
			t.Errorf("%q: %v", onUnproven, got.AuditAnnotations)
		}
	}
}

func TestEnforceAfterComesByTimeAlone(t *testing.T) {
	s := newSite(t, laboratory(func(w *v1alpha1.LabWorkload) { w.Spec.EnforceAfter = "2026-11-26T12:30:00Z" })...)
	who := mia(claim("amr", "pwd"))
	for _, step := range []struct {
		at   time.Duration
		want string
	}{{0, "audited"}, {30*time.Minute - time.Second, "audited"}, {30 * time.Minute, "refused"}, {time.Hour, "refused"}} {
		s.clock.SetTime(now.Add(step.at))
		if got := s.ask(t, exec(who)); got.AuditAnnotations["decision"] != step.want {
			t.Errorf("after %s: %v", step.at, got.AuditAnnotations)
		}
	}
	if all, one := s.counted(lab); all != 1 || one != 1 {
		t.Errorf("all was read %d times and one LabWorkload %d times, want each once", all, one)
	}
}

func TestAnIssuerThatTwoProvidersNameIsNotKnown(t *testing.T) {
	twin := identityProvider(func(p *v1alpha1.IdentityProvider) { p.Name = "twin" })
	s := newSite(t, append(laboratory(), twin)...)
	if got := s.ask(t, exec(mia())); got.AuditAnnotations["reason"] != "IssuerUnknown" || got.Allowed {
		t.Errorf("%v", got.AuditAnnotations)
	}
	if len(s.seen.proofs) > 0 {
		t.Errorf("proofs %q of an issuer that is not known", s.seen.proofs)
	}
}

func TestEveryAnswerIsAnnotated(t *testing.T) {
	s := newSite(t, laboratory()...)
	for name, test := range map[string]struct {
		asked webhook.Request
		want  map[string]string
	}{
		"let through": {exec(mia()), map[string]string{"decision": "allowed", "reason": "Proven", "cover": "Access", "kind": "Person", "requirements": "lis"}},
		"refused, dry": {
			dry(request(serviceAccount(lab, "ci"), admissionv1.Delete, "pods", "lis-0")),
			map[string]string{"decision": "refused", "reason": "UnlistedMachine", "cover": "Change", "kind": "ServiceAccount", "requirements": "lis", "dry-run": "true"},
		},
		"break glass": {exec(certificate("night", emergency)), map[string]string{"decision": "allowed", "reason": "BreakGlass", "cover": "Access", "kind": "Person"}},
	} {
		if diff := cmp.Diff(test.want, s.ask(t, test.asked).AuditAnnotations); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestARefusalNamesTheCourseAndNoDate(t *testing.T) {
	objects := laboratory()
	expired := trainingRecord("eve", "eve", now.Add(-48*time.Hour))
	expired.Spec.Expires = new(metav1.NewTime(now.Add(-time.Hour)))
	expired.Spec.Evidence = "https://lms.lab.example/certificates/4711"
	s := newSite(t, append(objects, expired)...)
	got := s.ask(t, exec(mia(claim("subject", "eve"))))
	want := "labguard: pods/exec lis-0 in namespace pathology is refused (TrainingMissing): LabWorkload lis asks for training: take the course phishing-basics, and let it be recorded"
	if diff := cmp.Diff(want, got.Result.Message); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestAProofIsALoginWithEverythingThatItsProviderProves(t *testing.T) {
	for name, test := range map[string]struct {
		asked webhook.Request
		want  []string
	}{
		"that gets in":                     {exec(mia()), []string{idp + " 1 12:00:00"}},
		"that is refused":                  {exec(mia(claim("amr", "pwd"))), []string{idp + " 1 12:00:00"}},
		"for a dry run":                    {dry(request(mia(), admissionv1.Update, "deployments", "lis")), []string{idp + " 1 12:00:00"}},
		"without methods":                  {exec(mia(claim("amr"))), nil},
		"with methods that nobody reads":   {exec(mia(claim("amr", "\xff"))), nil},
		"without a context":                {exec(mia(claim("acr", ""))), nil},
		"without a time":                   {exec(mia(claim("auth-time", "soon"))), nil},
		"of another issuer":                {exec(mia(claim("issuer", "https://ci.example"))), nil},
		"of none":                          {exec(mia(claim("issuer"))), nil},
		"of a provider that proves less":   {exec(mia(claim("issuer", entra), claim("amr"))), []string{entra + " 1 12:00:00"}},
		"of a machine with claims":         {exec(withClaims(serviceAccount("flux-system", "kustomize"))), nil},
		"of a certificate":                 {exec(certificate("jane")), nil},
		"where nothing is asked for":       {request(mia(), admissionv1.Connect, "pods/exec", "other-0"), []string{idp + " 1 12:00:00"}},
		"without a subject, which is none": {exec(mia(claim("subject"))), []string{idp + " 1 12:00:00"}},
	} {
		s := newSite(t, laboratory()...)
		s.ask(t, test.asked)
		if diff := cmp.Diff(test.want, s.seen.proofs); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestTheOrderOfObjectsChangesNothing asks where several LabWorkloads refuse at once.
func TestTheOrderOfObjectsChangesNothing(t *testing.T) {
	another := workload(func(w *v1alpha1.LabWorkload) { w.Name, w.Spec.MFA.MaxAge, w.Spec.Training = "analyzer", "30m", nil })
	var messages []string
	for _, objects := range [][]client.Object{append(laboratory(), another), append([]client.Object{another}, laboratory()...)} {
		messages = append(messages, newSite(t, objects...).ask(t, exec(mia(claim("amr", "pwd")))).Result.Message)
	}
	if messages[0] != messages[1] || !strings.Contains(messages[0], "LabWorkload analyzer, lis asks for a login with mfa") || !strings.Contains(messages[0], "last 30m") {
		t.Errorf("%q", messages)
	}
}
