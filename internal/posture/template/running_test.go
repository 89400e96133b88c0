// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package template_test

import (
	"strings"
	"testing"

	"github.com/labguard/labguard/internal/posture/template"
)

func TestWhatANodeCallsTheImageThatItRuns(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	for name, test := range map[string]struct{ imageID, reported, bare string }{
		"a digest of a repository":           {"mirror.example/copy@" + digest, "mirror.example/copy@" + digest, ""},
		"of Docker Hub's library":            {"docker-pullable://lis@" + digest, "docker.io/library/lis@" + digest, ""},
		"with a tag":                         {"mirror.example/copy:2@" + digest, "mirror.example/copy@" + digest, ""},
		"a bare digest":                      {digest, "", digest},
		"a bare digest with dockershim's":    {"docker://" + digest, "", digest},
		"nothing before the start":           {"", "", ""},
		"a name without a digest":            {"mirror.example/copy:2", "", ""},
		"a digest of another algorithm":      {"sha512:" + strings.Repeat("ab", 64), "", ""},
		"a name that no runtime can read":    {"mi rror@" + digest, "", ""},
		"a digest with something behind it":  {digest + "\n", "", ""},
		"a bare digest with an empty name":   {"@" + digest, "", digest},
		"a digest that something stands for": {"a@b@" + digest, "docker.io/library/a@" + digest, ""},
	} {
		t.Run(name, func(t *testing.T) {
			reported, ok := template.ReportedReference(test.imageID)
			if ok != (test.reported != "") || ok && reported != test.reported {
				t.Errorf("reported %q, %t; want %q", reported, ok, test.reported)
			}
			bare, ok := template.BareDigest(test.imageID)
			if ok != (test.bare != "") || ok && bare != test.bare {
				t.Errorf("bare %q, %t; want %q", bare, ok, test.bare)
			}
		})
	}
}

func FuzzReportedReference(f *testing.F) {
	digest := "sha256:" + strings.Repeat("0", 64)
	f.Add("docker-pullable://lis@" + digest)
	f.Add("@" + digest)
	f.Add("://://" + digest)
	f.Fuzz(func(t *testing.T, imageID string) {
		reference, named := template.ReportedReference(imageID)
		digest, bare := template.BareDigest(imageID)
		if named && bare {
			t.Errorf("%q is both %q and bare", imageID, reference)
		}
		if named && (!template.Valid(reference) || !strings.HasSuffix(reference, imageID[strings.LastIndex(imageID, "@"):])) {
			t.Errorf("%q is %q", imageID, reference)
		}
		if bare && (len(digest) != 71 || !strings.HasSuffix(imageID, digest)) {
			t.Errorf("%q is %q", imageID, digest)
		}
	})
}
