// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-containerregistry/pkg/name"
)

func TestRepositoryIsReadAsTheContainerRuntimesDo(t *testing.T) {
	t.Parallel()
	for title, test := range map[string]struct{ reference, want string }{
		"a bare name is of Docker Hub's library":                {"nginx", "docker.io/library/nginx"},
		"a tag takes no part":                                   {"nginx:1.27", "docker.io/library/nginx"},
		"a digest takes no part":                                {"nginx@sha256:0a", "docker.io/library/nginx"},
		"tag and digest take no part":                           {"registry.example/lis:1@sha256:0a", "registry.example/lis"},
		"a name with an owner is of Docker Hub":                 {"vendor/lis:1", "docker.io/vendor/lis"},
		"Docker Hub may be named":                               {"docker.io/vendor/lis", "docker.io/vendor/lis"},
		"Docker Hub's library may be left out":                  {"docker.io/nginx:1", "docker.io/library/nginx"},
		"Docker Hub has an old name":                            {"index.docker.io/vendor/lis", "docker.io/vendor/lis"},
		"Docker Hub's old name fills in the library":            {"index.docker.io/nginx", "docker.io/library/nginx"},
		"a registry has a dot":                                  {"registry.example/lis:1", "registry.example/lis"},
		"a registry has a port, which is no tag":                {"registry:5000/lis", "registry:5000/lis"},
		"a port and a tag":                                      {"registry:5000/a/lis:2", "registry:5000/a/lis"},
		"localhost is a registry":                               {"localhost/lis:2", "localhost/lis"},
		"a name in capitals is a registry, as no owner has any": {"REGISTRY/lis", "REGISTRY/lis"},
		"what follows the first @ never counts":                 {"evil.example/x@registry.example/vendor/lis", "evil.example/x"},
		"an address of IPv6":                                    {"[::1]:5000/lis:1", "[::1]:5000/lis"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			if got := Repository(test.reference); got != test.want {
				t.Errorf("Repository(%q) = %q, want %q", test.reference, got, test.want)
			}
		})
	}
}

func TestAPatternCoversRepositoriesAndNothingElse(t *testing.T) {
	t.Parallel()
	for title, test := range map[string]struct {
		pattern, reference string
		want               bool
	}{
		"the repository itself":                         {"registry.example/vendor/lis", "registry.example/vendor/lis:4", true},
		"by digest":                                     {"registry.example/vendor/lis", "registry.example/vendor/lis@sha256:0a", true},
		"not a longer name":                             {"registry.example/vendor/lis", "registry.example/vendor/lis-evil:4", false},
		"not a repository below":                        {"registry.example/vendor/lis", "registry.example/vendor/lis/x", false},
		"a prefix covers what is below":                 {"registry.example/vendor/*", "registry.example/vendor/a/b:1", true},
		"a prefix does not cover itself":                {"registry.example/vendor/*", "registry.example/vendor:1", false},
		"a prefix ends at a slash":                      {"registry.example/vendor/*", "registry.example/vendorevil/a:1", false},
		"a prefix of a whole registry":                  {"registry.example/*", "registry.example/a/b", true},
		"a registry ends at its name":                   {"registry.example/*", "registry.example.evil.example/a", false},
		"a registry ends at its port":                   {"registry.example/*", "registry.example:5000/a", false},
		"a short name is of Docker Hub":                 {"docker.io/library/postgres", "postgres:18", true},
		"Docker Hub's library left out in the pattern":  {"docker.io/postgres", "postgres:18", true},
		"Docker Hub's library left out in the image":    {"docker.io/library/postgres", "docker.io/postgres:18", true},
		"all of Docker Hub":                             {"docker.io/*", "nginx", true},
		"all of Docker Hub by its old name":             {"index.docker.io/*", "nginx", true},
		"Docker Hub is not another registry":            {"docker.io/*", "registry.example/nginx", false},
		"a star in the middle is no wildcard":           {"registry.example/*/lis", "registry.example/vendor/lis", false},
		"the name in the digest part covers nothing":    {"registry.example/vendor/lis", "evil.example/x@registry.example/vendor/lis", false},
		"the name in the tag part covers nothing":       {"registry.example/vendor/*", "evil.example:registry.example/vendor/lis", false},
		"an empty pattern covers nothing that is named": {"", "registry.example/lis", false},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			if got := matchesRepository(test.pattern, test.reference); got != test.want {
				t.Errorf("pattern %q on %q: %t, want %t", test.pattern, test.reference, got, test.want)
			}
		})
	}
}

func TestMutableTagsAreThoseThatMeanAnotherImageEachDay(t *testing.T) {
	t.Parallel()
	for title, test := range map[string]struct {
		reference string
		want      bool
	}{
		"no tag means latest":                  {"nginx", true},
		"a port is no tag":                     {"registry:5000/nginx", true},
		"latest":                               {"registry:5000/nginx:latest", true},
		"a version":                            {"registry:5000/nginx:1.27", false},
		"a version that begins with latest":    {"nginx:latest-2026", false},
		"a digest":                             {"nginx@sha256:0a", false},
		"latest with a digest is pinned by it": {"nginx:latest@sha256:0a", false},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			if got := MutableTag(test.reference); got != test.want {
				t.Errorf("MutableTag(%q) = %t, want %t", test.reference, got, test.want)
			}
		})
	}
}

func TestOnlyWhatARuntimeCanReadIsAReference(t *testing.T) {
	t.Parallel()
	for title, test := range map[string]struct {
		reference string
		want      bool
	}{
		"an image":                          {"registry.example/lis:1@sha256:0a", true},
		"the longest one":                   {strings.Repeat("a", 1024), true},
		"nothing":                           {"", false},
		"one that is too long to record":    {strings.Repeat("a", 1025), false},
		"a space":                           {"a:1 evil.example/b:1", false},
		"a line end":                        {"a:1\nevil.example/b:1", false},
		"a tab":                             {"a:1\tb", false},
		"a space that is not broken":        {"a:1\u00a0b", false},
		"the next-line character":           {"a:1\u0085b", false},
		"an ideographic space":              {"a:1\u3000evil.example/b:1", false},
		"an em space":                       {"a:1\u2003b", false},
		"a line separator":                  {"a:1\u2028b", false},
		"an escape sequence":                {"a\x1b[31m", false},
		"delete":                            {"a\x7f", false},
		"letters that only look like ASCII": {"r\u0435gistry.example/lis", false},
		"bytes that are no UTF-8":           {"a\xff", false},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			if got := ValidReference(test.reference); got != test.want {
				t.Errorf("ValidReference(%q) = %t, want %t", test.reference, got, test.want)
			}
		})
	}
}

// FuzzRepository holds the reading of references against that of go-containerregistry, which fetches the facts: if they differed, an
// exemption could cover one image and the facts speak of another.
func FuzzRepository(f *testing.F) {
	for _, seed := range []string{
		"nginx", "nginx:1", "vendor/lis:1", "docker.io/nginx", "index.docker.io/a/b:1", "registry.example:5000/a/b:1", "localhost/x",
		"registry.example/a@sha256:" + strings.Repeat("0a", 32), "a.b/c:1@sha256:" + strings.Repeat("0a", 32), "REG/x", "a b", "@", ":", "/", "docker.io/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, reference string) {
		repository := Repository(reference)
		if !strings.Contains(repository, "/") {
			t.Errorf("Repository(%q) = %q has no registry", reference, repository)
		}
		parsed, err := name.ParseReference(reference, name.WeakValidation)
		if err != nil {
			return
		}
		want := strings.Replace(parsed.Context().Name(), "index.docker.io/", "docker.io/", 1)
		if ValidReference(reference) && repository != want {
			t.Errorf("Repository(%q) = %q, the registry would be asked for %q", reference, repository, want)
		}
		if again := Repository(repository); again != repository {
			t.Errorf("Repository(%q) = %q, and of that %q", reference, repository, again)
		}
	})
}

func FuzzPatternsCoverOnlyTheirRepositories(f *testing.F) {
	f.Add("registry.example/vendor/*", "registry.example/vendor/lis:1")
	f.Add("registry.example/vendor/lis", "registry.example/vendor/lis@sha256:0a")
	f.Add("docker.io/*", "nginx")
	f.Add("/*", "/x")
	f.Fuzz(func(t *testing.T, pattern, reference string) {
		if !matchesRepository(pattern, reference) {
			return
		}
		repository := Repository(reference)
		prefix, isPrefix := strings.CutSuffix(pattern, "/*")
		switch prefix = canonicalHub(prefix + "/"); {
		case isPrefix && !strings.HasPrefix(repository, prefix):
			t.Errorf("%q covers %q, whose repository %q does not begin with %q", pattern, reference, repository, prefix)
		case !isPrefix && Repository(pattern) != repository:
			t.Errorf("%q covers %q, whose repository is %q", pattern, reference, repository)
		}
	})
}

func FuzzMutableTag(f *testing.F) {
	for _, seed := range []string{"a", "a:latest", "r:5/a", "a:1", "a@sha256:0a", ":", "@", "a:latest/b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, reference string) {
		if MutableTag(reference) && strings.Contains(reference, "@") {
			t.Errorf("%q names a digest and counts as mutable", reference)
		}
		tag, err := name.NewTag(reference, name.WeakValidation)
		if err != nil || !ValidReference(reference) {
			return
		}
		if want := tag.TagStr() == name.DefaultTag; MutableTag(reference) != want {
			t.Errorf("MutableTag(%q) = %t, but its tag is %q", reference, !want, tag.TagStr())
		}
	})
}

// FuzzValidReference: a list that is separated by white space, of whatever alphabet, gives back what was put in.
func FuzzValidReference(f *testing.F) {
	for _, seed := range []string{"a", "a b", "a\u3000b", "a\u0085b", "a\u2028b", "\u1680", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, reference string) {
		if !ValidReference(reference) {
			return
		}
		if fields := strings.Fields(" first " + reference + " last "); len(fields) != 3 || fields[1] != reference {
			t.Errorf("%q reads back as %q", reference, fields)
		}
		for _, r := range reference {
			if unicode.IsSpace(r) || !unicode.IsPrint(r) {
				t.Errorf("%q has %q", reference, r)
			}
		}
	})
}
