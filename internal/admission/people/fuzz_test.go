// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	admissionv1 "k8s.io/api/admission/v1"
	webhook "sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// FuzzRequest sends whatever can be read as an AdmissionRequest to both handlers, in a cluster where everything is enforced and mia alone is trained.
func FuzzRequest(f *testing.F) {
	long := strings.Repeat("x|", 5000)
	for _, seed := range []webhook.Request{
		exec(mia()), exec(mia(claim("amr", "pwd"))), exec(mia(claim("amr", strings.Split(long, "|")...))), exec(mia(claim("subject", "mi\u0430"))),
		exec(mia(claim("subject", "mia\u200b"))), exec(mia(claim("auth-time", "1.7e+09"))), exec(mia(claim("auth-time", "9223372036854775807"))),
		exec(mia(claim("auth-time", seconds(now.Add(6*time.Minute))))), exec(mia(claim("issuer", idp, idp))), exec(mia(claim("issuer", idp+"/"))),
		exec(mia(claim("issuer", entra), claim("entra.example/oid", "mia"))), exec(certificate("night", emergency)), exec(certificate(labguard)),
		exec(serviceAccount("flux-system", "kustomize")), exec(withClaims(serviceAccount("kube-system", "job-controller"))),
		request(mia(), admissionv1.Connect, "pods/proxy", "https:lis-0:8443"), request(mia(), admissionv1.Connect, "pods/proxy", ":::"),
		request(certificate("jane"), admissionv1.Create, "serviceaccounts/token", "kustomize"), dry(request(mia(), admissionv1.Delete, "labworkloads", long)),
		request(certificate(long, long), admissionv1.Update, "pods/ephemeralcontainers", "\u202e"), {},
	} {
		raw, err := json.Marshal(&seed.AdmissionRequest)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(raw))
	}
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"userInfo":{"extra":{"labguard.dev/amr":"mfa"}}}`, `{"userInfo":{"extra":{"labguard.dev/amr":[["mfa"]]}}}`,
		`{"userInfo":{"extra":{"labguard.dev/amr":null}},"operation":"CONNECT","object":null,"namespace":"pathology"}`, `{"dryRun":"yes"}`, `{"object":{"metadata":1}}`,
	} {
		f.Add(seed)
	}
	s := newSite(f, laboratory()...)
	validating, observing := served(s.gate.Validating()), served(s.gate.BreakGlass())
	f.Fuzz(func(t *testing.T, raw string) {
		var read admissionv1.AdmissionRequest
		if err := json.Unmarshal([]byte(raw), &read); err != nil {
			for _, handler := range []http.Handler{validating, observing} {
				post(handler, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":`+raw+`}`)
			}
			return
		}
		asked := webhook.Request{AdmissionRequest: read}
		s.seen.uses, s.seen.proofs = nil, nil
		if got := s.gate.BreakGlass().Handle(t.Context(), asked); !got.Allowed {
			t.Fatalf("break glass is refused: %+v", got)
		}
		got := s.gate.Validating().Handle(t.Context(), asked)
		requireBounded(t, got)
		requireReason(t, &asked, got)
		requireNoted(t, &asked, s.seen)
	})
}

// requireBounded checks what holds of all answers.
func requireBounded(t *testing.T, got webhook.Response) {
	t.Helper()
	texts := slices.Clone(got.Warnings)
	if got.Result != nil {
		texts = append(texts, got.Result.Message)
	}
	for key, value := range got.AuditAnnotations {
		texts = append(texts, key, value)
	}
	for _, text := range texts {
		if len(text) > 2000 || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x202e || r == 0x200b }) {
			t.Fatalf("the text %q", text)
		}
	}
	if got.AuditAnnotations["decision"] == "" || got.AuditAnnotations["reason"] == "" || got.AuditAnnotations["kind"] == "" || len(got.Patches) > 0 {
		t.Fatalf("the answer %+v", got)
	}
	if !got.Allowed && (got.Result == nil || got.Result.Code != http.StatusForbidden || got.Result.Message == "") {
		t.Fatalf("the refusal %+v", got)
	}
}

// requireReason checks that nobody gets in but for a reason that can be seen in the request without any of the code that decides.
func requireReason(t *testing.T, asked *webhook.Request, got webhook.Response) {
	t.Helper()
	if !got.Allowed {
		return
	}
	who := asked.UserInfo
	one := func(key string) string {
		if values := who.Extra["labguard.dev/"+key]; len(values) == 1 {
			return values[0]
		}
		return ""
	}
	fine := false
	switch got.AuditAnnotations["reason"] {
	case "Proven":
		fine = slices.Contains(who.Extra["labguard.dev/amr"], "mfa") && one("issuer") == idp && !strings.HasPrefix(who.Username, "system:") &&
			(one("subject") == "mia" || asked.SubResource == "token" || got.AuditAnnotations["cover"] == "Platform")
	case "BreakGlass":
		fine = slices.Contains(who.Groups, emergency)
	case "ListedMachine":
		fine = slices.Contains([]string{labguard, "system:serviceaccount:flux-system:kustomize", "deployer", "runner"}, who.Username)
	case "NeverAsked":
		fine = strings.HasPrefix(who.Username, "system:") && one("amr") == ""
	case "NotRequired":
		fine = asked.Namespace != lab || asked.SubResource == "token" || strings.Contains(asked.Name, "other-0")
	}
	if !fine {
		t.Fatalf("%+v gets in for %v", asked, got.AuditAnnotations)
	}
}

// requireNoted checks what the recorders were told, by both handlers.
func requireNoted(t *testing.T, asked *webhook.Request, told *seen) {
	t.Helper()
	member := slices.Contains(asked.UserInfo.Groups, emergency) && (asked.DryRun == nil || !*asked.DryRun)
	noted := len(told.uses)
	// Outside of the laboratory only tokens and what belongs to the platform are asked about.
	if !member && noted > 0 || member && asked.Namespace == lab && noted != 2 || noted != 0 && noted != 2 {
		t.Fatalf("%d uses noted", noted)
	}
	for _, each := range told.uses {
		for text, most := range map[string]int{each.user: 1024, each.request.Operation: 16, each.request.Resource: 128} {
			if text == "" || len(text) > most || !utf8.ValidString(text) {
				t.Fatalf("noted %q", text)
			}
		}
		if len(each.request.Name) > 253 || !utf8.ValidString(each.request.Name) {
			t.Fatalf("noted the name %q", each.request.Name)
		}
	}
	for _, proof := range told.proofs {
		if proof != idp+" 1 12:00:00" && proof != entra+" 1 12:00:00" {
			t.Fatalf("the proof %q", proof)
		}
	}
}
