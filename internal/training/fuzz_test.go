// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package training_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/internal/training"
)

// sound checks what has to hold for any file.
func sound(t *testing.T, text []byte, format training.Format) {
	t.Helper()
	records, problems := training.Read(bytes.NewReader(text), format)
	again, sameProblems := training.Read(bytes.NewReader(text), format)
	if !slices.Equal(records, again) || !slices.Equal(problems, sameProblems) {
		t.Fatal("read twice, it is two things")
	}
	lines := bytes.Count(text, []byte("\n")) + 1
	for _, p := range problems {
		if p.Line < 0 || p.Line > lines || p.Text == "" || len(p.Text) > 300 {
			t.Fatalf("of %d lines: %+v", lines, p)
		}
	}
	if len(problems) > training.MaxProblems || len(records) > training.MaxRecords {
		t.Fatalf("%d records and %d problems", len(records), len(problems))
	}
	names := map[string]bool{}
	for i, r := range records {
		if names[r.Name()] {
			t.Fatalf("two records have the name of %+v", r)
		}
		names[r.Name()] = true
		if i > 0 && slices.Compare([]string{records[i-1].Issuer, records[i-1].Subject, records[i-1].Course}, []string{r.Issuer, r.Subject, r.Course}) >= 0 {
			t.Fatal("the records are not sorted")
		}
		if r.Completed.IsZero() || !r.Expires.IsZero() && !r.Expires.After(r.Completed) {
			t.Fatalf("a record that never counts: %+v", r)
		}
		for _, value := range []string{r.Subject, r.Issuer, r.Course, r.Evidence} {
			if len(value) > 512 || strings.ContainsAny(value, "\x00\n\r\u200b") || strings.TrimSpace(value) != value {
				t.Fatalf("a value that nobody can have meant: %+v", r)
			}
		}
	}
	if got, wrong := training.Read(strings.NewReader(asJSON(t, records)), training.JSON); len(wrong) > 0 || !slices.Equal(got, records) {
		t.Fatalf("written down and read again: %v\n%s", wrong, cmp.Diff(records, got))
	}
	if got, wrong := training.Read(strings.NewReader(asCSV(t, records, ';')), training.CSV); len(wrong) > 0 || !slices.Equal(got, records) {
		t.Fatalf("written down and read again: %v\n%s", wrong, cmp.Diff(records, got))
	}
}

func cells(r training.Record) []string {
	expires := ""
	if !r.Expires.IsZero() {
		expires = r.Expires.Format(time.RFC3339)
	}
	return []string{r.Subject, r.Issuer, r.Course, r.Completed.Format(time.RFC3339), expires, r.Evidence}
}

// asCSV writes records with another implementation of RFC 4180.
func asCSV(t testing.TB, records []training.Record, separator rune) string {
	t.Helper()
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	w.Comma = separator
	rows := [][]string{strings.Split(strings.TrimSpace(header), ",")}
	for _, r := range records {
		rows = append(rows, cells(r))
	}
	if err := w.WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func asJSON(t testing.TB, records []training.Record) string {
	t.Helper()
	columns := strings.Split(strings.TrimSpace(header), ",")
	objects := []map[string]string{}
	for _, r := range records {
		object := map[string]string{}
		for i, cell := range cells(r) {
			object[columns[i]] = cell
		}
		objects = append(objects, object)
	}
	text, err := json.Marshal(map[string]any{"records": objects})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func FuzzReadCSV(f *testing.F) {
	for _, seed := range []string{
		"", header, header + row, "\ufeff" + header + row, strings.ReplaceAll(header+row, ",", ";"), header + "\"a\"\"b\n\r\n" + row, header + "a\"\n\"" + row,
		header + row + strings.Replace(row, "2027", "2028", 1), "x," + header + "\"\n\"," + row, header + "\u0430nn" + row[3:], header + strings.Replace(row, "2027-01-15", "9999-12-31T23:59:59+23:59", 1),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) { sound(t, text, training.CSV) })
}

func FuzzReadJSON(f *testing.F) {
	object := `{"subject": "ann", "issuer": "` + issuer + `", "course": "a", "completed": "2026-01-15", "expires": null, "x": [1, {"subject": 2}]}`
	for _, seed := range []string{
		"", "[]", "{}", "[" + object + "]", `{"records": [` + object + ", " + object + `], "x": 1e999}`, `[{"subject": 7}, null, "\ud800"]`, "[[[[", `{"records": [` + object, "[" + object + "] x",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) { sound(t, text, training.JSON) })
}

// What another implementation of RFC 4180 writes is read as it was written, whatever stands in the columns that are left out.
func TestPropertyWhatOthersWriteIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		separator := rapid.SampledFrom([]rune{',', ';'}).Draw(t, "separator")
		note := rapid.StringOfN(rapid.RuneFrom([]rune("a\"',;\n é")), 0, 30, -1)
		var text bytes.Buffer
		w := csv.NewWriter(&text)
		w.Comma, w.UseCRLF = separator, rapid.Bool().Draw(t, "CRLF")
		rows := [][]string{append(strings.Split(strings.TrimSpace(header), ","), "note")}
		var want []training.Record
		for i := range rapid.IntRange(0, 5).Draw(t, "rows") {
			r := with(func(r *training.Record) { r.Subject = fmt.Sprint("person ", i) })
			want = append(want, r)
			rows = append(rows, append(cells(r), note.Draw(t, "note")))
		}
		if err := w.WriteAll(rows); err != nil {
			t.Fatal(err)
		}
		got, problems := training.Read(&text, training.CSV)
		if diff := cmp.Diff(append([]training.Record{}, want...), got); diff != "" || len(problems) > 0 {
			t.Fatalf("problems %v, records (-want +got):\n%s", problems, diff)
		}
	})
}

func BenchmarkRead10000Records(b *testing.B) {
	var records []training.Record
	for i := range 10_000 {
		records = append(records, with(func(r *training.Record) { r.Subject = fmt.Sprint("person-", i) }))
	}
	for format, text := range map[training.Format]string{training.CSV: asCSV(b, records, ','), training.JSON: asJSON(b, records)} {
		b.Run(string(format), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if got, problems := training.Read(strings.NewReader(text), format); len(got) != len(records) || len(problems) > 0 {
					b.Fatal(len(got), problems)
				}
			}
		})
	}
}
