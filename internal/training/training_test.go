// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package training_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/training"
)

const (
	issuer = "https://login.lab.example"
	header = "subject,issuer,course,completed,expires,evidence\n"
	// row is a line that is right.
	row = "ann," + issuer + ",phishing-basics,2026-01-15,2027-01-15,https://lms.lab.example/c/1\n"
)

// january15 is the day of that year at which everything here happens.
func january15(year int) time.Time {
	return time.Date(year, time.January, 15, 0, 0, 0, 0, time.UTC)
}

// ann is what row says.
func ann() training.Record {
	return training.Record{
		Subject: "ann", Issuer: issuer, Course: "phishing-basics", Completed: january15(2026), Expires: january15(2027),
		Evidence: "https://lms.lab.example/c/1",
	}
}

// with is ann with one change.
func with(change func(*training.Record)) training.Record {
	r := ann()
	change(&r)
	return r
}

// texts are problems as a person reads them.
func texts(problems []training.Problem) []string {
	var found []string
	for _, p := range problems {
		found = append(found, p.String())
	}
	return found
}

// outcome is what a file is read as.
type outcome struct {
	file     string
	records  []training.Record
	problems []string
}

func (want outcome) check(t *testing.T, format training.Format) {
	t.Helper()
	records, problems := training.Read(strings.NewReader(want.file), format)
	if diff := cmp.Diff(want.records, records, cmp.Transformer("none", func(r []training.Record) []training.Record { return append([]training.Record{}, r...) })); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.problems, texts(problems)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestReadCSV(t *testing.T) {
	t.Parallel()
	const lacks = "line 1: the first row names the columns, such as subject,issuer,course,completed,expires,evidence, and lacks "
	one := []training.Record{ann()}
	noEnd := []training.Record{with(func(r *training.Record) { r.Expires, r.Evidence = time.Time{}, "" })}
	for name, want := range map[string]outcome{
		"a header and a row":                        {file: header + row, records: one},
		"no line end at the end":                    {file: header + strings.TrimSuffix(row, "\n"), records: one},
		"lines that end as on Windows":              {file: strings.ReplaceAll(header+row, "\n", "\r\n"), records: one},
		"a byte order mark":                         {file: "\ufeff" + header + row, records: one},
		"semicolons":                                {file: strings.ReplaceAll(header+row, ",", ";"), records: one},
		"semicolons and quotation marks":            {file: "\"Subject\";\"Issuer\";\"Course\";\"Completed\"\n\"ann\";\"" + issuer + "\";\"phishing-basics\";\"2026-01-15\"\n", records: noEnd},
		"blank lines, and rows of nothing":          {file: "\n" + header + "\n \n" + ",,,,,\n" + row + "\n\n", records: one},
		"spaces around a value":                     {file: header + strings.ReplaceAll(row, ",", " , "), records: one},
		"a header alone":                            {file: header},
		"the header in another order and case":      {file: "COURSE, Completed ,issuer,SUBJECT\nphishing-basics,2026-01-15," + issuer + ",ann\n", records: noEnd},
		"instants, with the zone that they have":    {file: header + strings.ReplaceAll(row, "2026-01-15", "2026-01-15T02:00:00.7+02:00"), records: one},
		"a value in quotation marks with separator": {file: "name," + header + "\"Smith, \"\"Ann\"\"\nof pathology\"," + row, records: one},
		"columns that nobody asked for are left out": {
			file: "name,e-mail," + header + "Ann Smith,ann@lab.example," + row, records: one,
		},
		"nothing at all": {problems: []string{lacks + "subject, issuer, course, completed; nothing of the file was read"}},
		"no header": {
			file: row, problems: []string{lacks + "subject, issuer, course, completed; nothing of the file was read"},
		},
		"a header without a column that is needed": {
			file: "subject,course,completed\nann,a,2026-01-15\n", problems: []string{lacks + "issuer; nothing of the file was read"},
		},
		"a column twice": {
			file: "subject,issuer,course,completed,Subject\n", problems: []string{"line 1: has the column subject twice; nothing of the file was read"},
		},
		"a broken header": {file: "\"subject\n" + row, problems: []string{"line 1: has a quotation mark that is not closed"}},
		"UTF-16":          {file: "\xff\xfes\x00u\x00", problems: []string{"is written in UTF-16: export it as UTF-8"}},
		"a bad line does not take the others with it": {
			file:     header + "ben\n" + row + "carl,,,,,\n",
			records:  one,
			problems: []string{"line 2: has 1 fields, and the header has 6", "line 4: issuer: is empty", "line 4: course: is empty", "line 4: completed: is empty"},
		},
		"a quotation mark that is not closed does not swallow the rest": {
			file:     header + "\"ben," + issuer + "\n" + row,
			records:  one,
			problems: []string{"line 2: has a quotation mark that is not closed"},
		},
		"a quotation mark inside of a value": {
			file:     header + "b\"en,x\n" + row + "\"ben\" x,y\n",
			records:  one,
			problems: []string{"line 2: has a quotation mark inside of a field: put the field in quotation marks, and write two for the one inside", "line 4: has text behind a field in quotation marks"},
		},
		"a line is counted where it begins": {
			file:     "note," + header + "\"one\ntwo\nthree\"," + row + "x,,\n",
			records:  one,
			problems: []string{"line 5: has 3 fields, and the header has 7"},
		},
		"a row that has no end": {
			file: header + strings.Repeat("x", 20<<10) + "\n" + row, records: one, problems: []string{"line 2: is longer than 16 KiB, or has a quotation mark that is not closed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want.check(t, training.CSV)
		})
	}
}

func TestReadJSON(t *testing.T) {
	t.Parallel()
	object := `{"subject": "ann", "issuer": "` + issuer + `", "course": "phishing-basics", "completed": "2026-01-15", "expires": "2027-01-15", "evidence": "https://lms.lab.example/c/1"}`
	one := []training.Record{ann()}
	for name, want := range map[string]outcome{
		"a list":                                {file: "[" + object + "]", records: one},
		"an object with a list":                 {file: `{"records": [` + object + "]}", records: one},
		"an object with more than a list":       {file: `{"next": {"records": []}, "records": [` + object + `], "total": 1}`, records: one},
		"a byte order mark":                     {file: "\ufeff[" + object + "]\n", records: one},
		"an empty list":                         {file: "[]"},
		"keys that nobody asked for":            {file: `[{"name": {"subject": 7}, "e-mail": ["ann@lab.example"], ` + object[1:] + "]", records: one},
		"keys in another case":                  {file: "[" + strings.Replace(object, "subject", "Subject", 1) + "]", records: one},
		"null is as if the key were not there":  {file: "[" + strings.Replace(object, `"https://lms.lab.example/c/1"`, "null", 1) + "]", records: []training.Record{with(func(r *training.Record) { r.Evidence = "" })}},
		"a bad object does not take the others": {file: "[7,\n{},\n" + object + "]", records: one, problems: []string{"line 1: is no object", "line 2: subject: is empty", "line 2: issuer: is empty", "line 2: course: is empty", "line 2: completed: is empty"}},
		"a value of a wrong type": {
			file: "[\n\n" + strings.Replace(object, `"2026-01-15"`, "1768435200", 1) + ", " + object + "]", records: one, problems: []string{"line 3: completed: is no text in quotation marks"},
		},
		"a key twice":                    {file: `[{"subject": "ben", ` + object[1:] + "]", problems: []string{"line 1: subject: is there twice"}},
		"half a surrogate is no text":    {file: "[" + strings.Replace(object, `"ann"`, `"\ud800"`, 1) + "]", problems: []string{"line 1: subject: is not UTF-8: export the file as UTF-8"}},
		"nothing at all":                 {problems: []string{"line 1: is no JSON from here on: the rest was not read"}},
		"no JSON":                        {file: header, problems: []string{"line 1: is no JSON from here on: the rest was not read"}},
		"a file that was cut off":        {file: "[" + object + ",\n" + object[:40], records: one, problems: []string{"line 2: is no JSON from here on: the rest was not read"}},
		"a list that has no end":         {file: "[" + object, records: one, problems: []string{"line 1: is no JSON from here on: the rest was not read"}},
		"an object that has no end":      {file: `{"records": [` + object + "]", records: one, problems: []string{"line 1: is no JSON from here on: the rest was not read"}},
		"something behind the end":       {file: "[" + object + "]\n[]", records: one, problems: []string{"line 2: has something behind its end"}},
		"neither a list nor an object":   {file: `"ann"`, problems: []string{"line 1: has to be a list of objects, or an object with such a list as records"}},
		"an object without a list":       {file: `{"data": [` + object + "]}", problems: []string{"line 1: has to be a list of objects, or an object with such a list as records"}},
		"records that are no list":       {file: `{"records": {}}`, problems: []string{"line 1: has to be a list of objects, or an object with such a list as records"}},
		"two lists":                      {file: `{"records": [` + object + `], "records": []}`, records: one, problems: []string{"line 1: has records twice"}},
		"a nesting that has no end":      {file: strings.Repeat("[", 20_000), problems: []string{"line 1: is no JSON from here on: the rest was not read"}},
		"a broken value before the list": {file: `{"a": {]`, problems: []string{"line 1: is no JSON from here on: the rest was not read"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want.check(t, training.JSON)
		})
	}
}

func TestWhatAValueHasToBe(t *testing.T) {
	t.Parallel()
	const (
		date   = "is no date: write one such as 2026-11-26, or an instant such as 2026-11-26T14:30:00Z"
		link   = "is no link: write one without a user name in it, such as https://lms.lab.example/certificates/4711"
		url    = "is no issuer: write the URL in the iss claim of tokens, such as https://login.lab.example"
		name   = "is no identifier: write letters, digits and . _ : / - between them, such as phishing-basics"
		unseen = "has characters that nobody sees, so that it would match nobody: copy it from a token"
	)
	for field, values := range map[string]map[string]string{
		"subject": {
			"ann": "", "ann@lab.example": "", "CN=Ann Smith": "", "Ångström": "", "\u0430nn": "", "安": "", strings.Repeat("a", 256): "",
			"":                       "is empty",
			strings.Repeat("a", 257): "is longer than 256 bytes",
			strings.Repeat("a", 513): "is longer than 512 bytes",
			"an\x00n":                "has control characters",
			"an\nn":                  "has control characters",
			"an\u200bn":              unseen,
			"ann\ufeff":              unseen,
			"ann\u00adx":             unseen,
			"an\u202en":              unseen,
			"an\u00a0n":              unseen,
			"an\u3164n":              unseen,
			"an\u034fn":              unseen,
			"ann\ufe0f":              unseen,
			"A\u030angstrom":         "has letters and their accents apart (is not Unicode NFC), so that it would match nobody: copy it from a token",
			"an\xffn":                "is not UTF-8: export the file as UTF-8",
		},
		"issuer": {
			issuer: "", issuer + "/": "", issuer + "/realms/lab": "", issuer + ":8443": "",
			"":                             "is empty",
			"http://login.lab.example":     url,
			"HTTPS://login.lab.example":    url,
			"login.lab.example":            url,
			"https://":                     url,
			"https:///x":                   url,
			issuer + "?tenant=1":           url,
			issuer + "#top":                url,
			"https://user@login.example":   url,
			"https://login.lab.example/ x": url,
			"https://lögin.example":        url,
		},
		"course": {
			"a": "", "HIPAA-101": "", "urn:lms:course:42": "", "iso/15189.2022_a": "", strings.Repeat("c", 128): "",
			"":                       "is empty",
			strings.Repeat("c", 129): "is longer than 128 bytes",
			"phishing basics":        name,
			"-a":                     name,
			"a-":                     name,
			"ä":                      name,
			"a,b":                    name,
		},
		"completed": {
			"2026-01-15": "", "2026-01-15T12:00:00Z": "", "1995-03-01": "",
			"":                     "is empty",
			"15.01.2026":           date,
			"01/15/2026":           date,
			"2026-1-5":             date,
			"2026-02-30":           date,
			"2026-01-15 12:00":     date,
			"2026-01-15T12:00:00":  date,
			"1768435200":           date,
			"0001-01-01":           "is a year that cannot be meant",
			"9999-12-31":           "is a year that cannot be meant",
			"1899-12-31T23:59:59Z": "is a year that cannot be meant",
		},
		"expires": {
			"": "", "9999-12-31": "", "2026-01-16": "",
			"2026-01-15": "is not later than completed, so that the training would never count",
			"2025-01-15": "is not later than completed, so that the training would never count",
			"never":      date,
		},
		"evidence": {
			"": "", "https://lms.lab.example": "", "http://lms/c?id=1&who=a@b": "", "https://lms.lab.example/c/@1": "",
			"certificate 4711":                    link,
			"ftp://lms.lab.example/c":             link,
			"javascript:alert(1)":                 link,
			"https://user:pw@lms.lab/c":           link,
			"https://lms.lab.example/c 1":         link,
			"https://":                            link,
			"https:///c":                          link,
			"https://lms.lab.example/%zz":         link,
			"https://l/" + string('\u00e4'):       link,
			"https://" + strings.Repeat("l", 505): "is longer than 512 bytes",
		},
	} {
		columns := []string{"subject", "issuer", "course", "completed", "expires", "evidence"}
		for value, want := range values {
			t.Run(fmt.Sprintf("%s %.40q", field, value), func(t *testing.T) {
				t.Parallel()
				row := []string{"ann", issuer, "phishing-basics", "2026-01-15", "", ""}
				row[slices.Index(columns, field)] = `"` + value + `"`
				records, problems := training.Read(strings.NewReader(header+strings.Join(row, ",")), training.CSV)
				var expected []string
				if want != "" {
					expected = []string{"line 2: " + field + ": " + want}
				}
				if diff := cmp.Diff(expected, texts(problems)); diff != "" {
					t.Errorf("problems (-want +got):\n%s", diff)
				}
				if (len(records) == 1) != (want == "") {
					t.Errorf("records: %v", records)
				}
			})
		}
	}
}

func TestOfTwoLinesTheOneThatExpiresLastIsKeptInAnyOrder(t *testing.T) {
	t.Parallel()
	line := func(completed, expires, evidence string) string {
		return strings.Join([]string{"ann", issuer, "phishing-basics", completed, expires, evidence}, ",") + "\n"
	}
	for name, lines := range map[string][]string{
		"the later expiry":                               {line("2024-01-15", "2027-01-15", ""), line("2026-01-15", "2026-06-15", "")},
		"no expiry is the latest":                        {line("2024-01-15", "", ""), line("2026-01-15", "2027-06-15", "")},
		"with the same expiry, the later completion":     {line("2026-01-15", "2027-01-15", ""), line("2025-01-15", "2027-01-15", "https://z")},
		"without any expiry, the later completion":       {line("2026-01-15", "", ""), line("2025-01-15", "", "")},
		"with the same dates, the later link":            {line("2026-01-15", "", "https://b.example"), line("2026-01-15", "", "https://a.example")},
		"with the same dates, some link and not none":    {line("2026-01-15", "", "https://b.example"), line("2026-01-15", "", "")},
		"the same line twice, which is no contradiction": {row, row},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, problems := training.Read(strings.NewReader(header+lines[0]), training.CSV)
			if len(first) != 1 || len(problems) > 0 {
				t.Fatalf("%v, %v", first, problems)
			}
			for _, text := range []string{lines[0] + lines[1], lines[1] + lines[0]} {
				got, problems := training.Read(strings.NewReader(header+text), training.CSV)
				if diff := cmp.Diff(first, got); diff != "" || len(problems) > 0 {
					t.Errorf("problems %v, records (-want +got):\n%s", problems, diff)
				}
			}
		})
	}
}

func TestAnotherIssuerSubjectOrCourseIsAnotherRecordWithAnotherName(t *testing.T) {
	t.Parallel()
	records := []training.Record{
		ann(), with(func(r *training.Record) { r.Issuer += "/" }), with(func(r *training.Record) { r.Subject = "Ann" }), with(func(r *training.Record) { r.Course = "b" }),
		// Joined without their lengths these two would be the same.
		{Issuer: "a", Subject: "bc", Course: "d"}, {Issuer: "ab", Subject: "c", Course: "d"},
	}
	names := map[string]bool{}
	for _, r := range records {
		names[r.Name()] = true
		if faults := validation.IsDNS1123Label(r.Name()); len(faults) > 0 {
			t.Errorf("%s: %v", r.Name(), faults)
		}
	}
	if len(names) != len(records) {
		t.Errorf("%d names for %d records: %v", len(names), len(records), names)
	}
	for name, same := range map[string]training.Record{
		"completion": with(func(r *training.Record) { r.Completed = time.Time{} }),
		"expiry":     with(func(r *training.Record) { r.Expires = time.Time{} }),
		"evidence":   with(func(r *training.Record) { r.Evidence = "" }),
	} {
		if same.Name() != ann().Name() {
			t.Errorf("another %s is another name", name)
		}
	}
	// Objects of earlier imports have this name: another one would leave them behind.
	if want := "training-8a9b62d1391573dc22fd6c86c748b6c1"; ann().Name() != want {
		t.Errorf("the name is %s, want %s", ann().Name(), want)
	}
}

func TestTheObjectOfARecord(t *testing.T) {
	t.Parallel()
	expires := metav1.NewTime(january15(2027))
	want := &v1alpha1.TrainingRecord{
		TypeMeta:   metav1.TypeMeta{APIVersion: "labguard.dev/v1alpha1", Kind: "TrainingRecord"},
		ObjectMeta: metav1.ObjectMeta{Name: ann().Name()},
		Spec: v1alpha1.TrainingRecordSpec{
			Subject: "ann", Issuer: issuer, Course: "phishing-basics", Completed: metav1.NewTime(january15(2026)), Expires: &expires,
			Evidence: "https://lms.lab.example/c/1",
		},
	}
	if diff := cmp.Diff(want, ann().Object()); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}
	want.Spec.Expires = nil
	if diff := cmp.Diff(want, with(func(r *training.Record) { r.Expires = time.Time{} }).Object()); diff != "" {
		t.Errorf("object without an end (-want +got):\n%s", diff)
	}
}

// block is the first block of a language in a page.
func block(t *testing.T, page, language string) string {
	t.Helper()
	_, rest, found := strings.Cut(page, "\n```"+language+"\n")
	text, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatalf("the page has no block of %s", language)
	}
	return text
}

func TestTheExamplesOfTheDocumentationAndTheSampleAreRecords(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/training.md")
	if err != nil {
		t.Fatal(err)
	}
	const person = "00u1f7c2"
	want := []training.Record{
		{Subject: person, Issuer: issuer, Course: "hl7-confidentiality", Completed: time.Date(2026, time.February, 11, 0, 0, 0, 0, time.UTC)},
		{
			Subject: person, Issuer: issuer, Course: "phishing-basics", Evidence: "https://lms.lab.example/certificates/4711",
			Completed: time.Date(2026, time.September, 1, 0, 0, 0, 0, time.UTC), Expires: time.Date(2027, time.September, 1, 0, 0, 0, 0, time.UTC),
		},
	}
	for _, format := range []training.Format{training.CSV, training.JSON} {
		outcome{file: block(t, string(page), string(format)), records: want}.check(t, format)
	}
	if !strings.Contains(string(page), "\n"+want[1].Name()+"   "+person+"   phishing-basics\n") {
		t.Errorf("the page does not list %s", want[1].Name())
	}
	sample, err := os.ReadFile("../../config/samples/training.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, object, _ := strings.Cut(string(sample), "\n---\n")
	var got v1alpha1.TrainingRecord
	if err := yaml.UnmarshalStrict([]byte(object), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want[1].Object(), &got, cmp.Comparer(func(a, b metav1.Time) bool { return a.Time.Equal(b.Time) })); diff != "" {
		t.Errorf("the sample (-want +got):\n%s", diff)
	}
}

func TestAFileHasAnEnd(t *testing.T) {
	t.Parallel()
	const object = `{"subject":"a","issuer":"https://a","course":"c","completed":"2026-01-15"}`
	rows := func(count int) string { return header + strings.Repeat("a,https://a,c,2026-01-15,,\n", count) }
	for name, c := range map[string]struct {
		file    string
		format  training.Format
		records int
		says    []string
	}{
		"as many rows as there may be":    {file: rows(training.MaxRecords), format: training.CSV, records: 1},
		"one row more":                    {file: rows(training.MaxRecords + 1), format: training.CSV, says: []string{"line 100002: is one record more than 100000: split the file; nothing of it was kept"}},
		"as many objects as there may be": {file: "[" + object + strings.Repeat(","+object, training.MaxRecords-1) + "]", format: training.JSON, records: 1},
		"one object more":                 {file: "[" + object + strings.Repeat(",{}", training.MaxRecords) + "]", format: training.JSON, says: []string{"line 1: is one record more than 100000: split the file; nothing of it was kept"}},
		"a byte too many":                 {file: header + row + strings.Repeat("\n", training.MaxBytes+1-len(header+row)), format: training.CSV, says: []string{"is larger than 10 MiB: split it; nothing of it was read"}},
		"no byte too many":                {file: header + row + strings.Repeat("\n", training.MaxBytes-len(header+row)), format: training.CSV, records: 1},
		"a format that nobody knows":      {file: header + row, format: "xlsx", says: []string{"has a format that is not known: csv and json are"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			records, problems := training.Read(strings.NewReader(c.file), c.format)
			if diff := cmp.Diff(c.says, texts(problems)); diff != "" || len(records) != c.records {
				t.Errorf("%d records, want %d; problems (-want +got):\n%s", len(records), c.records, diff)
			}
		})
	}
}

func TestProblemsHaveAnEnd(t *testing.T) {
	t.Parallel()
	records, problems := training.Read(strings.NewReader(header+strings.Repeat("x\n", 5000)+row), training.CSV)
	if len(records) != 1 || len(problems) != training.MaxProblems {
		t.Fatalf("%d records and %d problems", len(records), len(problems))
	}
	if got, want := problems[len(problems)-1].String(), "has 4001 more problems: mend these first"; got != want {
		t.Errorf("the last one says %q, want %q", got, want)
	}
}

func TestAFileThatCannotBeReadIsAProblemOfTheFile(t *testing.T) {
	t.Parallel()
	source := io.MultiReader(strings.NewReader(header+row), iotest.ErrReader(errors.New("the disk is gone")))
	records, problems := training.Read(source, training.CSV)
	if diff := cmp.Diff([]string{"cannot be read: the disk is gone"}, texts(problems)); diff != "" || len(records) > 0 {
		t.Errorf("%d records; problems (-want +got):\n%s", len(records), diff)
	}
}

// Reports of an import end in tickets and logs.
func TestAProblemRepeatsNothingOfThePerson(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const secret = "S3cretus"
		value := rapid.SampledFrom([]string{secret, secret + "\x00", "\"" + secret, secret + "\u200b", "\"" + secret + "\"" + secret, strings.Repeat(secret, 90), secret + ","})
		rows := []string{rapid.SampledFrom([]string{strings.TrimSpace(header), strings.ToUpper(strings.TrimSpace(header)), secret}).Draw(t, "header")}
		for range rapid.IntRange(1, 3).Draw(t, "rows") {
			rows = append(rows, strings.Join(rapid.SliceOfN(value, 5, 7).Draw(t, "values"), ","))
		}
		_, problems := training.Read(strings.NewReader(strings.Join(rows, "\n")), training.CSV)
		_, more := training.Read(strings.NewReader(fmt.Sprintf(`[{"subject": %q, "completed": %q}, %q]`, secret, secret, secret)), training.JSON)
		for _, p := range append(problems, more...) {
			if strings.Contains(p.String(), secret) {
				t.Fatalf("it is told on: %v", p)
			}
		}
		if len(more) == 0 {
			t.Fatal("no problem where there are some")
		}
	})
}
