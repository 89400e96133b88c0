// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

const (
	namedByIdentifier = "a course is named by its identifier: letters, digits and . _ : / - between them, such as phishing-basics"
	issuerIsURL       = "issuer is the URL in the iss claim of tokens, such as https://login.lab.example: https, without a query"
	matchesNobody     = "subject has spaces at its ends or characters that nobody sees, so that it would match nobody: copy it from a token"
)

// trainingRules are those of spec.training of a LabWorkload.
func trainingRules() []rule {
	const between = "training.maxAge is between a day (24h) and ten years (87600h)"
	courses := func(list string) string { return "training: {courses: " + list + "}" }
	maxAge := func(age string) string { return "training: {courses: [a], maxAge: '" + age + "'}" }
	subjects := func(list string) string { return "training: {courses: [a], subjects: " + list + "}" }
	person := func(issuer, subject string) string {
		return subjects(`[{issuer: "` + issuer + `", subject: "` + subject + `"}]`)
	}
	const (
		issuer       = "https://login.lab.example"
		firstIssuer  = "training.subjects[0].issuer"
		firstSubject = "training.subjects[0].subject"
	)
	return []rule{
		{
			name: "training is of courses, each named once", accepted: []string{courses("[phishing-basics]"), courses(list(16, "course-%d"))},
			refused: []refusal{
				{spec: "training: {}", field: "training.courses", says: "Required value"},
				{spec: courses("[]"), field: "training.courses", says: "should have at least 1 items"},
				{spec: courses(list(17, "course-%d")), field: "training.courses", says: "must have at most 16 items"},
				{spec: courses("[a, b, a]"), field: "training.courses[2]", says: "Duplicate value"},
			},
		},
		{
			name: "a course is an identifier", accepted: []string{courses("['urn:lms:course:42', HIPAA-101, iso/15189.2022_a, '" + strings.Repeat("c", 128) + "']")},
			refused: []refusal{
				{spec: courses("['phishing basics']"), field: "training.courses[0]", says: namedByIdentifier},
				{spec: courses("[a, '-b']"), field: "training.courses[1]", says: namedByIdentifier},
				{spec: courses("['']"), field: "training.courses[0]", says: "at least 1 chars long"},
				{spec: courses("['" + strings.Repeat("c", 129) + "']"), field: "training.courses[0]", says: "may not be more than 128"},
			},
		},
		{
			name: "a course counts for a day at least and ten years at most", accepted: []string{maxAge("24h"), maxAge("8760h"), maxAge("87600h"), maxAge("30h30m30s")},
			refused: []refusal{
				{spec: maxAge("23h59m"), field: "training.maxAge", says: between},
				{spec: maxAge("87601h"), field: "training.maxAge", says: between},
				{spec: maxAge("365d"), field: "training.maxAge", says: "write hours, minutes and seconds, such as 8760h for 365 days"},
				{spec: maxAge("h"), field: "training.maxAge", says: "at least 2 chars long"},
				{spec: maxAge(strings.Repeat("1", 20) + "h"), field: "training.maxAge", says: "may not be more than 20"},
			},
		},
		{
			name: "training is enforced by itself, for access, change or both",
			accepted: []string{
				"training: {courses: [a], enforcement: Audit}", "training: {courses: [a], enforcement: Enforce, covers: [Change]}",
				"training: {courses: [a], covers: [Access, Change]}",
			},
			refused: []refusal{
				{spec: "training: {courses: [a], enforcement: Off}", field: "training.enforcement", says: `supported values: "Audit", "Enforce"`},
				{spec: "training: {courses: [a], covers: []}", field: "training.covers", says: "should have at least 1 items"},
				{spec: "training: {courses: [a], covers: [Token]}", field: "training.covers[0]", says: aWord},
				{spec: "training: {courses: [a], covers: [Change, Change]}", field: "training.covers[1]", says: "Duplicate value"},
			},
		},
		{
			name:     "people are named as in tokens, each once",
			accepted: []string{subjects(list(256, "{issuer: 'https://a', subject: 's%d'}")), subjects("[{issuer: 'https://a', subject: s}, {issuer: 'https://a/', subject: s}]")},
			refused: []refusal{
				{spec: subjects("[]"), field: "training.subjects", says: "should have at least 1 items"},
				{spec: subjects(list(257, "{issuer: 'https://a', subject: 's%d'}")), field: "training.subjects", says: "must have at most 256 items"},
				{spec: subjects("[{issuer: 'https://a', subject: s}, {issuer: 'https://a', subject: s}]"), field: "training.subjects[1]", says: "Duplicate value"},
				{spec: subjects("[{issuer: 'https://a'}]"), field: firstSubject, says: "Required value"},
				{spec: subjects("[{subject: s}]"), field: firstIssuer, says: "Required value"},
			},
		},
		{
			name: "an issuer is the one of tokens", accepted: []string{person(issuer+"/realms/lab", "s"), person("https://"+strings.Repeat("a", 504), "s")},
			refused: []refusal{
				{spec: person("http://login.lab.example", "s"), field: firstIssuer, says: "training.subjects: " + issuerIsURL},
				{spec: person(issuer+"?tenant=1", "s"), field: firstIssuer, says: "training.subjects: " + issuerIsURL},
				{spec: person("https://a b", "s"), field: firstIssuer, says: "training.subjects: " + issuerIsURL},
				{spec: person("https://", "s"), field: firstIssuer, says: "at least 9 chars long"},
				{spec: person("https://"+strings.Repeat("a", 505), "s"), field: firstIssuer, says: "may not be more than 512"},
			},
		},
		{
			name: "a subject has only what can be seen", accepted: []string{person(issuer, "Ångström"), person(issuer, "CN=Ann Smith"), person(issuer, strings.Repeat("s", 256))},
			refused: []refusal{
				{spec: person(issuer, " ann"), field: firstSubject, says: "training.subjects: " + matchesNobody},
				{spec: person(issuer, `an\u200Bn`), field: firstSubject, says: "training.subjects: " + matchesNobody},
				{spec: person(issuer, `an\nn`), field: firstSubject, says: "training.subjects: " + matchesNobody},
				{spec: person(issuer, ""), field: firstSubject, says: "at least 1 chars long"},
				{spec: person(issuer, strings.Repeat("s", 257)), field: firstSubject, says: "may not be more than 256"},
			},
		},
	}
}

// trainingRecord is a record with the fields of spec laid over a base.
func trainingRecord(t *testing.T, spec string) *unstructured.Unstructured {
	t.Helper()
	fields := map[string]any{}
	base := "{subject: ann, issuer: 'https://login.lab.example', course: phishing-basics, completed: '2026-01-15T00:00:00Z'}"
	for _, text := range []string{base, spec} {
		if err := yaml.Unmarshal([]byte(text), &fields); err != nil {
			t.Fatalf("the test's own YAML: %v\n%s", err, text)
		}
	}
	return object("TrainingRecord", fields)
}

func trainingRecords(t *testing.T) dynamic.ResourceInterface {
	t.Helper()
	c, err := dynamic.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	return c.Resource(v1alpha1.GroupVersion.WithResource("trainingrecords"))
}

func trainingRecordRules() []rule {
	const link = "evidence is a link without a user name in it, such as https://lms.lab.example/certificates/4711"
	field := func(name, value string) string { return name + `: "` + value + `"` }
	return []rule{
		{
			name: "it says who completed what, and when", accepted: []string{"{}", "{expires: '9999-12-31T23:59:59Z', evidence: 'https://lms.lab.example/c/1'}"},
			refused: []refusal{
				{spec: "subject: null", field: "subject", says: "Required value"},
				{spec: "issuer: null", field: "issuer", says: "Required value"},
				{spec: "course: null", field: "course", says: "Required value"},
				{spec: "completed: null", field: "completed", says: "Required value"},
				{spec: "completed: '2026-01-15'", field: "completed", says: "must be of type date-time"},
				{spec: "expires: never", field: "expires", says: "must be of type date-time"},
				{spec: "name: Ann Smith", field: "name", says: "unknown field"},
			},
		},
		{
			name: "it counts for some time", accepted: []string{"expires: '2026-01-15T00:00:01Z'"},
			refused: []refusal{
				{spec: "expires: '2026-01-15T00:00:00Z'", says: "expires must be later than completed, or the training never counts"},
				{spec: "expires: '2026-01-15T01:00:00+02:00'", says: "expires must be later than completed, or the training never counts"},
			},
		},
		{
			name:     "a subject has only what can be seen",
			accepted: []string{field("subject", "ann@lab.example"), field("subject", "CN=Ann Smith"), field("subject", "安"), field("subject", strings.Repeat("s", 256))},
			refused: []refusal{
				{spec: field("subject", "ann "), field: "subject", says: matchesNobody},
				{spec: field("subject", `an\u200Bn`), field: "subject", says: matchesNobody},
				{spec: field("subject", `an\u00A0n`), field: "subject", says: matchesNobody},
				{spec: field("subject", `an\tn`), field: "subject", says: matchesNobody},
				{spec: field("subject", ""), field: "subject", says: "at least 1 chars long"},
				{spec: field("subject", strings.Repeat("s", 257)), field: "subject", says: "may not be more than 256"},
			},
		},
		{
			name: "an issuer is the one of tokens", accepted: []string{field("issuer", "https://login.lab.example/"), field("issuer", "https://"+strings.Repeat("a", 504))},
			refused: []refusal{
				{spec: field("issuer", "login.lab.example"), field: "issuer", says: issuerIsURL},
				{spec: field("issuer", "https://login.lab.example#a"), field: "issuer", says: issuerIsURL},
				{spec: field("issuer", "https://ann@login.lab.example"), field: "issuer", says: issuerIsURL},
				{spec: field("issuer", "https://"), field: "issuer", says: "at least 9 chars long"},
				{spec: field("issuer", "https://"+strings.Repeat("a", 505)), field: "issuer", says: "may not be more than 512"},
			},
		},
		{
			name: "a course is an identifier", accepted: []string{field("course", "urn:lms:course:42"), field("course", strings.Repeat("c", 128))},
			refused: []refusal{
				{spec: field("course", "phishing basics"), field: "course", says: namedByIdentifier},
				{spec: field("course", "phishing-"), field: "course", says: namedByIdentifier},
				{spec: field("course", ""), field: "course", says: "at least 1 chars long"},
				{spec: field("course", strings.Repeat("c", 129)), field: "course", says: "may not be more than 128"},
			},
		},
		{
			name: "evidence is a link", accepted: []string{field("evidence", "http://lms/c?id=1&who=a@b"), field("evidence", "https://"+strings.Repeat("a", 504))},
			refused: []refusal{
				{spec: field("evidence", "certificate 4711"), field: "evidence", says: link},
				{spec: field("evidence", "javascript:alert(1)"), field: "evidence", says: link},
				{spec: field("evidence", "https://ann:pw@lms.lab.example/c"), field: "evidence", says: link},
				{spec: field("evidence", ""), field: "evidence", says: "at least 8 chars long"},
				{spec: field("evidence", "https://"+strings.Repeat("a", 505)), field: "evidence", says: "may not be more than 512"},
			},
		},
	}
}

func TestRulesOfTrainingRecord(t *testing.T) {
	c := trainingRecords(t)
	var refusals strings.Builder
	for _, r := range trainingRecordRules() {
		t.Run(r.name, func(t *testing.T) {
			if len(r.accepted) == 0 || len(r.refused) == 0 {
				t.Fatal("a rule needs an object that passes and one that fails")
			}
			for _, spec := range r.accepted {
				if _, err := create(t, c, trainingRecord(t, spec)); err != nil {
					t.Errorf("not accepted:\n%s\n%v", spec, err)
				}
			}
			for _, want := range r.refused {
				refusals.WriteString(refuses(t, c, trainingRecord(t, want.spec), want))
			}
		})
	}
	t.Run("whose training it is never changes, and until when it counts does", func(t *testing.T) {
		refusals.WriteString(staysWithItsPerson(t, c))
	})
	t.Run("no CEL rule is without a test", func(t *testing.T) {
		messages := allMessages(t, "../../config/crd/bases/labguard.dev_trainingrecords.yaml")
		if len(messages) != 6 {
			t.Fatalf("found %d rules, and there are 6: %q", len(messages), messages)
		}
		for _, message := range messages {
			if !strings.Contains(refusals.String(), message) {
				t.Errorf("no object above broke the rule %q", message)
			}
		}
	})
}

// staysWithItsPerson returns the refusals of changes to whose record it is.
func staysWithItsPerson(t *testing.T, c dynamic.ResourceInterface) string {
	t.Helper()
	record, err := c.Create(t.Context(), trainingRecord(t, ""), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Delete(context.WithoutCancel(t.Context()), record.GetName(), metav1.DeleteOptions{}) })
	update := func(spec string) error {
		changed := trainingRecord(t, spec)
		changed.SetResourceVersion(record.GetResourceVersion())
		_, err := c.Update(t.Context(), changed, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	if err := update("{completed: '2026-11-15T00:00:00Z', expires: '2027-11-15T00:00:00Z', evidence: 'https://lms.lab.example/c/2'}"); err != nil {
		t.Errorf("a course that was taken again: %v", err)
	}
	var refusals strings.Builder
	for _, spec := range []string{"subject: ben", "issuer: 'https://login.lab.example/'", "course: hl7-basics"} {
		err := update(spec)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "whose training it is, and of which course, never changes") {
			t.Errorf("the answer to the change %s is %v", spec, err)
			continue
		}
		refusals.WriteString(err.Error())
	}
	return refusals.String()
}
