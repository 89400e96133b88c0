// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write what the builders give to testdata")

// YAML compares values with testdata/<name>.yaml: one is the whole file, several are its documents.
func YAML(t testing.TB, name string, values ...any) {
	t.Helper()
	var got bytes.Buffer
	for _, value := range values {
		content, err := yaml.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if len(values) > 1 {
			got.WriteString("---\n")
		}
		got.Write(content)
	}
	compare(t, filepath.Join("testdata", name+".yaml"), got.Bytes())
}

// Text compares a text, such as what a command prints, with testdata/<name>.txt.
func Text(t testing.TB, name, got string) {
	t.Helper()
	compare(t, filepath.Join("testdata", name+".txt"), []byte(got))
}

func compare(t testing.TB, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; -update accepts):\n%s", path, diff)
	}
}
