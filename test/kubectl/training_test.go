// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package kubectl

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labguard/labguard/api/v1alpha1"
)

const (
	office = "training-office"
	header = "subject,issuer,course,completed,expires,evidence\n"
)

// staff gives the training office the role that the documentation names, and leaves no records behind.
func staff(t *testing.T) {
	t.Helper()
	kubectl(t, "apply", "-f", "../../config/rbac/user_roles.yaml")
	bind(t, office, "labguard-training-records", "patch", "trainingrecords.labguard.dev")
	t.Cleanup(func() {
		if err := api(t).DeleteAllOf(context.WithoutCancel(t.Context()), &v1alpha1.TrainingRecord{}); err != nil {
			t.Error(err)
		}
	})
}

// export writes a file of some rows.
func export(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func row(person int, expires string) string {
	return fmt.Sprintf("person-%d,https://login.lab.example,phishing-basics,2026-01-15,%s,https://lms.lab.example/c/%d\n", person, expires, person)
}

// records are the records of the cluster: resource version and spec, by name.
func records(t *testing.T) map[string]v1alpha1.TrainingRecord {
	t.Helper()
	var list v1alpha1.TrainingRecordList
	if err := api(t).List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	found := map[string]v1alpha1.TrainingRecord{}
	for _, record := range list.Items {
		found[record.Name] = record
	}
	return found
}

func counts(created, changed, unchanged int) string {
	var out strings.Builder
	out.WriteString("COURSE            CREATED   CHANGED   UNCHANGED\n")
	for _, course := range []string{"phishing-basics", "(all)"} {
		fmt.Fprintf(&out, "%-18s%-10d%-10d%d\n", course, created, changed, unchanged)
	}
	return out.String()
}

func TestAnImportWritesOnceAndThenNothing(t *testing.T) {
	staff(t)
	const people = 300
	var rows strings.Builder
	for person := range people {
		rows.WriteString(row(person, "2027-01-15"))
	}
	file := export(t, "lms.csv", header+rows.String())
	for _, step := range []struct {
		name string
		args []string
		want string
		left int
	}{
		{"a dry run writes nothing", []string{"--dry-run"}, "Dry run: nothing is written.\n" + counts(people, 0, 0), 0},
		{"the first import writes all", nil, counts(people, 0, 0), people},
		{"the second writes nothing", nil, counts(0, 0, people), people},
	} {
		before := records(t)
		out, errOut, err := labguard(t, office, append([]string{"training", "import", "-f", file}, step.args...)...)
		if err != nil || out != step.want || errOut != "" {
			t.Fatalf("%s: %v\n%s%s\nwant\n%s", step.name, err, out, errOut, step.want)
		}
		after := records(t)
		if len(after) != step.left {
			t.Errorf("%s: %d records", step.name, len(after))
		}
		if diff := cmp.Diff(before, after); step.name == "the second writes nothing" && diff != "" {
			t.Errorf("the second import wrote:\n%s", diff)
		}
	}
}

func TestAnImportChangesWhatAnExportHasDifferentlyWhoeverWroteItBefore(t *testing.T) {
	staff(t)
	file := export(t, "lms.csv", header+row(1, "2030-01-15")+row(2, "2027-01-15"))
	if _, _, err := labguard(t, office, "training", "import", "-f", file); err != nil {
		t.Fatal(err)
	}
	var first v1alpha1.TrainingRecord
	for _, record := range records(t) {
		if record.Spec.Subject == "person-1" {
			first = record
		}
	}
	// Somebody else's apply owns the end as well, so that a server-side apply alone would leave it there.
	other := export(t, "other.yaml", fmt.Sprintf(`apiVersion: labguard.dev/v1alpha1
kind: TrainingRecord
metadata: {name: %s}
spec: {subject: person-1, issuer: "https://login.lab.example", course: phishing-basics, completed: "2026-01-15T00:00:00Z", expires: "2031-01-15T00:00:00Z"}
`, first.Name))
	kubectl(t, "apply", "--server-side", "--force-conflicts", "--field-manager=somebody-else", "-f", other)

	file = export(t, "lms.csv", header+row(1, "2027-01-15")+row(2, ""))
	want := counts(0, 2, 0) + "\n1 changed record counts shorter than before: is the export older than the last one?\n"
	if out, _, err := labguard(t, office, "training", "import", "-f", file); err != nil || out != want {
		t.Errorf("%v\n%s", err, out)
	}
	kubectl(t, "apply", "--server-side", "--force-conflicts", "--field-manager=somebody-else", "-f", other)
	if _, _, err := labguard(t, office, "training", "import", "-f", export(t, "lms.csv", header+row(1, "")+row(2, ""))); err != nil {
		t.Error(err)
	}
	for _, record := range records(t) {
		if record.Spec.Expires != nil {
			t.Errorf("%s still has an end that the export does not have: %v", record.Name, record.Spec.Expires)
		}
	}
	if out, _, err := labguard(t, office, "training", "import", "-f", export(t, "lms.csv", header+row(1, "")+row(2, ""))); err != nil || out != counts(0, 0, 2) {
		t.Errorf("once more: %v\n%s", err, out)
	}
}

func TestABadLineEndsWithAnErrorAndTheOthersAreThere(t *testing.T) {
	staff(t)
	json := `{"records": [
  {"subject": "person-1", "issuer": "https://login.lab.example", "course": "phishing-basics", "completed": "2026-01-15"},
  {"subject": "person-2", "issuer": "https://login.lab.example", "course": "phishing-basics", "completed": "15.01.2026"},
  {"subject": "person-3", "issuer": "https://login.lab.example", "course": "phishing-basics", "completed": "2026-01-15"}
]}`
	out, errOut, err := labguard(t, office, "training", "import", "-f", export(t, "lms.json", json))
	want := counts(2, 0, 0) + "\nLINE   FIELD       PROBLEM\n3      completed   is no date: write one such as 2026-11-26, or an instant such as 2026-11-26T14:30:00Z\n"
	if err == nil || out != want || !strings.Contains(errOut, "1 problem in ") || !strings.Contains(errOut, "; the rest is imported") {
		t.Errorf("%v\n%s%s", err, out, errOut)
	}
	if found := records(t); len(found) != 2 {
		t.Errorf("%d records", len(found))
	}
}

func TestWhoeverHasNoRightIsToldSoAndWritesNothing(t *testing.T) {
	file := export(t, "lms.csv", header+row(1, "")+row(2, ""))
	out, errOut, err := labguard(t, "somebody", "training", "import", "-f", file)
	if err == nil || out != "" || !strings.Contains(errOut, `error: you may not list trainingrecords: have somebody bind the ClusterRole labguard-training-records to you for the whole cluster, with a ClusterRoleBinding: trainingrecords.labguard.dev is forbidden: User "somebody" cannot list`) {
		t.Errorf("%v\n%s%s", err, out, errOut)
	}
	grant(t, "reader", "trainingrecords.labguard.dev", "list")
	out, errOut, err = labguard(t, "reader", "training", "import", "-f", file)
	if err == nil || !strings.Contains(out, "NOT WRITTEN") || !strings.Contains(errOut, "error: 2 records not written: ") || !strings.Contains(errOut, `User "reader" cannot patch`) {
		t.Errorf("%v\n%s%s", err, out, errOut)
	}
	if found := records(t); len(found) > 0 {
		t.Errorf("%d records", len(found))
	}
}
