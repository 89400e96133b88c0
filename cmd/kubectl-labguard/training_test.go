// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/training"
)

const (
	csvHeader = "subject,issuer,course,completed,expires,evidence\n"
	phishing  = "ann,https://login.lab.example,phishing-basics,2026-01-15,2027-01-15,\n"
	hl7       = "ann,https://login.lab.example,hl7-confidentiality,2026-01-15,,\n"
	ben       = "ben,https://login.lab.example,phishing-basics,2026-01-15,2027-01-15,\n"
)

// memory keeps records, and counts what was written.
type memory struct {
	lock   sync.Mutex
	kept   map[string]v1alpha1.TrainingRecordSpec
	writes int
	dry    int
	fail   func(training.Record) error
}

func (m *memory) list(context.Context) (map[string]v1alpha1.TrainingRecordSpec, error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	return maps.Clone(m.kept), nil
}

func (m *memory) apply(_ context.Context, record training.Record, dryRun bool) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.fail != nil {
		if err := m.fail(record); err != nil {
			return err
		}
	}
	if dryRun {
		m.dry++
		return nil
	}
	m.writes++
	if m.kept == nil {
		m.kept = map[string]v1alpha1.TrainingRecordSpec{}
	}
	m.kept[record.Name()] = record.Object().Spec
	return nil
}

// runImport imports a CSV file with a header, and gives what a person reads.
func runImport(t *testing.T, store recordStore, rows string, dryRun bool) (out string, fault error) {
	t.Helper()
	s := newSession()
	records, problems := training.Read(strings.NewReader(csvHeader+rows), training.CSV)
	result, err := importRecords(t.Context(), store, records, dryRun, newProgress(s.ErrOut, s.clock, false))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.sayImported(result, dryRun), s.sayProblems(problems)); err != nil {
		t.Fatal(err)
	}
	return s.out.String(), importFault("lms.csv", result, problems, dryRun)
}

func TestASecondImportWritesNothing(t *testing.T) {
	t.Parallel()
	store := &memory{}
	out, err := runImport(t, store, phishing+hl7+ben, false)
	expect(t, "the first import", out, `
		COURSE                CREATED   CHANGED   UNCHANGED
		hl7-confidentiality   1         0         0
		phishing-basics       2         0         0
		(all)                 3         0         0
		`)
	if err != nil || store.writes != 3 {
		t.Errorf("%d writes, %v", store.writes, err)
	}
	out, err = runImport(t, store, ben+hl7+phishing, false)
	expect(t, "the second import", out, `
		COURSE                CREATED   CHANGED   UNCHANGED
		hl7-confidentiality   0         0         1
		phishing-basics       0         0         2
		(all)                 0         0         3
		`)
	if err != nil || store.writes != 3 {
		t.Errorf("%d writes, %v", store.writes, err)
	}
}

func TestWhatHasChangedIsWrittenAndAnOlderExportIsNoticed(t *testing.T) {
	t.Parallel()
	store := &memory{}
	if _, err := runImport(t, store, phishing+hl7+ben, false); err != nil {
		t.Fatal(err)
	}
	later := strings.ReplaceAll(phishing, "2027", "2028")
	earlier := strings.ReplaceAll(ben, "2027-01-15", "2026-06-30")
	out, err := runImport(t, store, later+hl7+earlier, false)
	expect(t, "the import", out, `
		COURSE                CREATED   CHANGED   UNCHANGED
		hl7-confidentiality   0         0         1
		phishing-basics       0         2         0
		(all)                 0         2         1

		1 changed record counts shorter than before: is the export older than the last one?
		`)
	if err != nil || store.writes != 5 {
		t.Errorf("%d writes, %v", store.writes, err)
	}
}

func TestADryRunWritesNothingAndSaysTheSame(t *testing.T) {
	t.Parallel()
	store := &memory{}
	out, err := runImport(t, store, phishing+"x\n", true)
	expect(t, "the dry run", out, `
		Dry run: nothing is written.
		COURSE            CREATED   CHANGED   UNCHANGED
		phishing-basics   1         0         0
		(all)             1         0         0

		LINE   FIELD   PROBLEM
		3      -       has 1 fields, and the header has 6
		`)
	if err == nil || err.Error() != "1 problem in lms.csv; the rest can be imported" {
		t.Error(err)
	}
	if store.writes != 0 || store.dry != 1 || len(store.kept) != 0 {
		t.Errorf("%d writes, %d checks, %v", store.writes, store.dry, store.kept)
	}
}

func TestABadLineIsNamedAndTheOthersAreWritten(t *testing.T) {
	t.Parallel()
	store := &memory{}
	bad := "cy,login.lab.example,phishing-basics,15.01.2026,,\n"
	out, err := runImport(t, store, phishing+bad+"x\n"+ben, false)
	expect(t, "the import", out, `
		COURSE            CREATED   CHANGED   UNCHANGED
		phishing-basics   2         0         0
		(all)             2         0         0

		LINE   FIELD       PROBLEM
		3      issuer      is no issuer: write the URL in the iss claim of tokens, such as https://login.lab.example
		3      completed   is no date: write one such as 2026-11-26, or an instant such as 2026-11-26T14:30:00Z
		4      -           has 1 fields, and the header has 6
		`)
	if err == nil || err.Error() != "3 problems in lms.csv; the rest is imported" || store.writes != 2 {
		t.Errorf("%d writes, %v", store.writes, err)
	}
	if strings.Contains(out+err.Error(), "cy") || strings.Contains(out, "15.01.2026") {
		t.Error("the report repeats what the file says about a person")
	}
}

func TestARecordThatIsRefusedDoesNotTakeTheOthersWithIt(t *testing.T) {
	t.Parallel()
	kind := schema.GroupKind{Group: "labguard.dev", Kind: "TrainingRecord"}
	store := &memory{fail: func(r training.Record) error {
		if r.Subject == "ben" {
			return apierrors.NewInvalid(kind, r.Name(), field.ErrorList{field.Invalid(field.NewPath("spec", "subject"), r.Subject, "nobody")})
		}
		return nil
	}}
	out, err := runImport(t, store, phishing+hl7+ben, false)
	expect(t, "the import", out, `
		COURSE                CREATED   CHANGED   UNCHANGED   REFUSED
		hl7-confidentiality   1         0         0           0
		phishing-basics       1         0         0           1
		(all)                 2         0         0           1

		REFUSED                                     WHY
		training-498a86bb74851271e7fc71845d60cca2   spec.subject: FieldValueInvalid
		`)
	if err == nil || err.Error() != "1 record refused by the API server; the rest is imported" {
		t.Error(err)
	}
}

func TestAnErrorThatMeetsEveryRecordEndsTheImport(t *testing.T) {
	t.Parallel()
	var rows strings.Builder
	for i := range 200 {
		rows.WriteString(strings.Replace(phishing, "ann", fmt.Sprint("person-", i), 1))
	}
	tries := 0
	store := &memory{fail: func(training.Record) error {
		tries++
		return errors.New("the API server is gone")
	}}
	out, err := runImport(t, store, rows.String(), false)
	expect(t, "the import", out, `
		COURSE            CREATED   CHANGED   UNCHANGED   NOT WRITTEN
		phishing-basics   0         0         0           200
		(all)             0         0         0           200
		`)
	want := "200 records not written: the API server is gone; run it again later: what is there is not written twice"
	if err == nil || err.Error() != want || tries > writers {
		t.Errorf("%d tries, and it says %v", tries, err)
	}
}

func TestAnInterruptLeavesWhatIsWrittenAndSaysWhatIsNot(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	store := &memory{fail: func(training.Record) error {
		interrupt()
		return nil
	}}
	var rows strings.Builder
	for i := range 100 {
		rows.WriteString(strings.Replace(phishing, "ann", fmt.Sprint("person-", i), 1))
	}
	records, _ := training.Read(strings.NewReader(csvHeader+rows.String()), training.CSV)
	s := newSession()
	result, err := importRecords(ctx, store, records, false, newProgress(s.ErrOut, s.clock, false))
	if err != nil {
		t.Fatal(err)
	}
	sum := result.all()
	if sum.created != store.writes || sum.created == 0 || sum.created > writers || sum.created+sum.left != 100 {
		t.Errorf("%d writes: %+v", store.writes, sum)
	}
	if err := importFault("lms.csv", result, nil, false); err == nil || !strings.Contains(err.Error(), "not written: it was interrupted; run it again later") {
		t.Error(err)
	}
}

func TestAFileWithNothingGoodAsksNoCluster(t *testing.T) {
	for name, c := range map[string]struct{ file, out, err string }{
		"no line is right": {
			file: csvHeader + "x\n", out: "\nLINE   FIELD   PROBLEM\n2      -       has 1 fields, and the header has 6\n",
			err: "1 problem in -, and nothing to import",
		},
		"it is no such file": {
			file: "a,b\n1,2\n", err: "1 problem in -, and nothing to import",
			out: "\nLINE   FIELD   PROBLEM\n1      -       the first row names the columns, such as subject,issuer,course,completed,expires,evidence, and lacks " +
				"subject, issuer, course, completed; nothing of the file was read\n",
		},
		"very many": {file: csvHeader + strings.Repeat("x\n", 5000), err: "more than 999 problems in -, and nothing to import"},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := command(t, c.file, "training", "import", "-f", "-", "--format", "csv")
			if err == nil || err.Error() != c.err || c.out != "" && out != c.out {
				t.Errorf("it says %v and prints\n%s", err, out)
			}
		})
	}
}
