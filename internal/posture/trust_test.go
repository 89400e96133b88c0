// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/pki"
)

var trustNow = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

func rootOf(t testing.TB, a *pki.Authority) posture.Root {
	t.Helper()
	roots, err := posture.ParseRoots(a.Text(), posture.MaxRoots)
	if err != nil || len(roots) != 1 {
		t.Fatalf("read %d roots: %v", len(roots), err)
	}
	return roots[0]
}

func TestRootsAreReadAndWrittenInTheOrderOfTheirFingerprints(t *testing.T) {
	a, b := pki.NewAuthorityAt(t, "a", trustNow), pki.NewAuthorityAt(t, "b", trustNow)
	roots, err := posture.ParseRoots("# the old one\n"+a.Text()+"\nthe new one:\n"+b.Text(), posture.MaxRoots)
	if err != nil || len(roots) != 2 {
		t.Fatalf("read %d roots: %v", len(roots), err)
	}
	if roots[0].Fingerprint != a.Fingerprint() || roots[1].Fingerprint != b.Fingerprint() {
		t.Error("the fingerprints are not those of the certificates")
	}
	text := posture.JoinRoots(roots)
	if diff := cmp.Diff(text, posture.JoinRoots([]posture.Root{roots[1], roots[0]})); diff != "" {
		t.Errorf("the order matters:\n%s", diff)
	}
	again, err := posture.ParseRoots(text, posture.MaxRoots)
	if err != nil || len(again) != 2 || again[0].Fingerprint > again[1].Fingerprint {
		t.Errorf("read again: %v, %v", again, err)
	}
	if got := posture.FirstExpiry(roots); !got.Equal(trustNow.AddDate(5, 0, 0)) {
		t.Errorf("expires %s", got)
	}
	if none, err := posture.ParseRoots("", posture.MaxRoots); err != nil || len(none) != 0 || !posture.FirstExpiry(none).IsZero() {
		t.Errorf("nothing: %v, %v", none, err)
	}
}

func TestWhatIsNoRootIsRefusedAndNotRepeated(t *testing.T) {
	a := pki.NewAuthorityAt(t, "a", trustNow)
	leaf := a.Issue(pki.Leaf{URIs: []string{"spiffe://lab.example/ns/a/labworkload/b"}, NotBefore: trustNow})
	mute := a.Issue(pki.Leaf{NotBefore: trustNow, Authority: true})
	many := strings.Builder{}
	for range posture.MaxRoots + 1 {
		many.WriteString(pki.NewAuthorityAt(t, "x", trustNow).Text())
	}
	tests := map[string]struct{ text, want string }{
		"a leaf":                      {string(leaf.Chain), "no certificate of an authority"},
		"an authority that signs not": {string(mute.Chain), "may not sign"},
		"a private key":               {a.Text() + string(leaf.Key), `block 2 is a "PRIVATE KEY"`},
		"the same twice":              {a.Text() + a.Text(), "there twice"},
		"a block that is cut":         {a.Text() + a.Text()[:200], "1 of 2 PEM blocks"},
		"something else in a block":   {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no X.509 certificate"},
		"too many":                    {many.String(), "more than 16"},
		"too long":                    {strings.Repeat("x", 200<<10), "more than 131072 bytes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := posture.ParseRoots(test.text, posture.MaxRoots)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "MII") {
				t.Errorf("the error repeats the text: %v", err)
			}
		})
	}
}

func FuzzParseRoots(f *testing.F) {
	a := pki.NewAuthorityAt(f, "a", trustNow)
	f.Add(a.Text())
	f.Add(a.Text() + "\n-----BEGIN X-----")
	f.Fuzz(func(t *testing.T, text string) {
		roots, err := posture.ParseRoots(text, posture.MaxRoots)
		if err != nil {
			return
		}
		again, err := posture.ParseRoots(posture.JoinRoots(roots), posture.MaxRoots)
		if err != nil || len(again) != len(roots) {
			t.Errorf("%d roots are %d after writing: %v", len(roots), len(again), err)
		}
	})
}

func TestAChainSaysWhichRootsItStandsOn(t *testing.T) {
	old, other := pki.NewAuthorityAt(t, "old", trustNow), pki.NewAuthorityAt(t, "other", trustNow)
	between := old.Intermediate("between")
	leaf := between.Issue(pki.Leaf{URIs: []string{"spiffe://lab.example/a"}, NotBefore: trustNow.AddDate(-1, 0, 0)}) // has expired, and still says who signed it
	roots := []posture.Root{rootOf(t, other), rootOf(t, old)}
	if diff := cmp.Diff([]string{old.Fingerprint()}, posture.RootsOf(leaf.Chain, roots)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, chain := range map[string]string{"nothing": "", "garbage": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if got := posture.RootsOf([]byte(chain), roots); len(got) > 0 {
			t.Errorf("%s stands on %v", name, got)
		}
	}
}
