// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/pki"
)

func TestARootLeavesOnlyWhenNobodyStandsOnIt(t *testing.T) {
	old, fresh := rootOf(t, pki.NewAuthorityAt(t, "old", trustNow)), rootOf(t, pki.NewAuthorityAt(t, "new", trustNow))
	lately, long := trustNow.Add(-time.Minute), trustNow.Add(-time.Hour)
	tests := map[string]struct {
		source posture.TrustSource
		users  []posture.RootUser
		keeps  []string
	}{
		"nobody is there": {posture.TrustSource{Kind: posture.OwnTrust}, nil, nil},
		"everybody has gone on": {
			posture.TrustSource{Kind: posture.OwnTrust},
			[]posture.RootUser{{Name: "pod lab/a", AnsweredAt: lately, Roots: []string{fresh.Fingerprint}}, {Name: "pod lab/b", AnsweredAt: lately}}, nil,
		},
		"one stands on it": {
			posture.TrustSource{Kind: posture.OwnTrust},
			[]posture.RootUser{{Name: "pod lab/a", AnsweredAt: lately, Roots: []string{fresh.Fingerprint, old.Fingerprint}}}, []string{"pod lab/a uses it"},
		},
		"one has never answered": {
			posture.TrustSource{Kind: posture.OwnTrust}, []posture.RootUser{{Name: "pod lab/a"}}, []string{"pod lab/a has not said what it uses"},
		},
		"one has not answered for long": {
			posture.TrustSource{Kind: posture.OwnTrust}, []posture.RootUser{{Name: "pod lab/a", AnsweredAt: long}}, []string{"pod lab/a has not said what it uses"},
		},
		"one stood on it when it last answered": {
			posture.TrustSource{Kind: posture.OwnTrust},
			[]posture.RootUser{{Name: "pod lab/a", AnsweredAt: long, Roots: []string{old.Fingerprint}}}, []string{"pod lab/a uses it"},
		},
		"it is removed by name": {
			posture.TrustSource{Kind: posture.OwnTrust, Remove: []string{old.Fingerprint}},
			[]posture.RootUser{{Name: "pod lab/a", AnsweredAt: lately, Roots: []string{old.Fingerprint}}, {Name: "pod lab/b"}}, nil,
		},
		"another is removed by name": {
			posture.TrustSource{Kind: posture.OwnTrust, Remove: []string{fresh.Fingerprint}}, []posture.RootUser{{Name: "pod lab/b"}},
			[]string{"pod lab/b has not said what it uses"},
		},
		"peers elsewhere cannot say": {
			posture.TrustSource{Kind: posture.FederatedTrust}, nil,
			[]string{"peers outside of the cluster cannot say whether they use it: remove it by its fingerprint in the configuration"},
		},
		"peers elsewhere, removed by name": {posture.TrustSource{Kind: posture.ExternalTrust, Remove: []string{old.Fingerprint}}, nil, nil},
		"silence of pods is nothing new to peers elsewhere": {
			posture.TrustSource{Kind: posture.ExternalTrust}, []posture.RootUser{{Name: "pod lab/b"}},
			[]string{"peers outside of the cluster cannot say whether they use it: remove it by its fingerprint in the configuration"},
		},
		"the entry is gone": {
			posture.TrustSource{Kind: posture.OwnTrust, Gone: true}, nil,
			[]string{"the configuration has no entry for it any more: give one that removes it by its fingerprint"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.source.Name, test.source.Roots = "lab.example", []posture.Root{fresh}
			decision := posture.DecideRoots(trustNow, test.source, []posture.Root{old, fresh}, test.users)
			var keeps []string
			for _, leaving := range decision.Leaving {
				if leaving.Root.Fingerprint != old.Fingerprint {
					t.Errorf("%s is leaving", leaving.Root.Fingerprint)
				}
				keeps = append(keeps, leaving.Keepers...)
			}
			if diff := cmp.Diff(test.keeps, keeps); diff != "" {
				t.Errorf("what keeps it (-want +got):\n%s", diff)
			}
			if got := published(decision, old); got != (len(test.keeps) > 0) || !published(decision, fresh) || len(decision.Left) != 1-len(decision.Leaving) {
				t.Errorf("publishes %d roots, the old one: %t; %d left", len(decision.Publish), got, len(decision.Left))
			}
		})
	}
}

func published(decision posture.RootDecision, root posture.Root) bool {
	return slices.ContainsFunc(decision.Publish, func(one posture.Root) bool { return one.Fingerprint == root.Fingerprint })
}

// Whatever pods say and however long they are silent: what the configuration has is published, and a published root stays unless everybody has answered
// lately and nobody stands on it, or it is removed by name.
func TestNoRootIsTakenFromUnderAnybody(t *testing.T) {
	all := make([]posture.Root, 5)
	for i := range all {
		all[i] = rootOf(t, pki.NewAuthorityAt(t, "root", trustNow))
	}
	some := func(random *rand.Rand) []posture.Root {
		return slices.DeleteFunc(slices.Clone(all), func(posture.Root) bool { return random.IntN(2) == 0 })
	}
	names := func(roots []posture.Root) (fingerprints []string) {
		for _, root := range roots {
			fingerprints = append(fingerprints, root.Fingerprint)
		}
		return fingerprints
	}
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 1))
		source := posture.TrustSource{Kind: posture.OwnTrust, Roots: some(random)}
		if random.IntN(3) == 0 {
			source.Remove = names(some(random))
		}
		was := some(random)
		var users []posture.RootUser
		for range random.IntN(4) {
			users = append(users, posture.RootUser{
				Name: "pod", AnsweredAt: trustNow.Add(-time.Duration(random.IntN(600)) * time.Second), Roots: names(some(random)),
			})
		}
		decision := posture.DecideRoots(trustNow, source, was, users)
		for _, root := range source.Roots {
			if !published(decision, root) {
				t.Fatalf("seed %d: a configured root is not published", seed)
			}
		}
		for _, root := range was {
			inUse := slices.ContainsFunc(users, func(user posture.RootUser) bool {
				return slices.Contains(user.Roots, root.Fingerprint) || trustNow.Sub(user.AnsweredAt) > 5*time.Minute
			})
			if inUse && !slices.Contains(source.Remove, root.Fingerprint) && !published(decision, root) {
				t.Fatalf("seed %d: a root in use, or under silence, has left", seed)
			}
		}
		for _, root := range decision.Publish {
			if !slices.Contains(names(was), root.Fingerprint) && !slices.Contains(names(source.Roots), root.Fingerprint) {
				t.Fatalf("seed %d: a root of nobody is published", seed)
			}
		}
		if !slices.IsSorted(names(decision.Publish)) {
			t.Fatalf("seed %d: not in order", seed)
		}
	}
}

func TestTheMessageNamesThreeKeepers(t *testing.T) {
	leaving := posture.LeavingRoot{Root: posture.Root{Fingerprint: "ab"}, Keepers: []string{"a", "b", "c", "d", "e"}}
	if got := leaving.Message(); got != "sha256:ab: a; b; c; and 2 more" {
		t.Error(got)
	}
	leaving.Keepers = leaving.Keepers[:1]
	if got := leaving.Message(); got != "sha256:ab: a" {
		t.Error(got)
	}
}

func TestAnAirlockStandsOnTheRootOfItsLeafAndOfItsLiveConnections(t *testing.T) {
	facts := posture.AirlockFacts{Report: report.Report{
		Identity:    &report.Identity{Root: "b"},
		Connections: []report.Connections{{Root: "c", Count: 1}, {Root: "a", Count: 2}, {Root: "d"}, {Count: 3}, {Root: "a", Count: 1}},
	}}
	if diff := cmp.Diff([]string{"a", "b", "c"}, posture.RootsInUse(facts)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := posture.RootsInUse(posture.AirlockFacts{}); len(got) > 0 {
		t.Errorf("nothing known, and it uses %v", got)
	}
}

func TestABundleIsCurrentOnceThePodSaysThatItHasEveryRoot(t *testing.T) {
	a, b := rootOf(t, pki.NewAuthorityAt(t, "a", trustNow)), rootOf(t, pki.NewAuthorityAt(t, "b", trustNow))
	source := posture.TrustSource{Kind: posture.OwnTrust, Name: "lab.example", Roots: []posture.Root{a, b}}
	external := posture.TrustSource{Kind: posture.ExternalTrust, Name: "vendor", Roots: []posture.Root{a}}
	facts := posture.AirlockFacts{ReportedAt: trustNow, Report: report.Report{
		Bundles: map[string][]string{"lab.example": {a.Fingerprint, b.Fingerprint}}, Authorities: map[string][]string{"vendor": {a.Fingerprint}},
	}}
	want := func(what string, want, got posture.BundleState) {
		t.Helper()
		if want != got {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	want("all roots", posture.BundleCurrent, posture.StateOfBundle(trustNow, source, facts))
	want("an authority", posture.BundleCurrent, posture.StateOfBundle(trustNow, external, facts))
	facts.Report.Bundles["lab.example"] = []string{a.Fingerprint}
	want("a root lacks", posture.BundleBehind, posture.StateOfBundle(trustNow, source, facts))
	want("long ago", posture.BundleUnknown, posture.StateOfBundle(trustNow.Add(time.Hour), source, facts))
	want("never", posture.BundleUnknown, posture.StateOfBundle(trustNow, source, posture.AirlockFacts{}))
}

func TestCertificatesAreIssuedAnewAFewAtATime(t *testing.T) {
	leaf := func(name, issuer string, age time.Duration, issuing bool, roots ...string) posture.IssuedLeaf {
		return posture.IssuedLeaf{
			Certificate: types.NamespacedName{Namespace: "lab", Name: name}, Issuer: issuer, IssuedAt: trustNow.Add(-age), Issuing: issuing, Roots: roots,
		}
	}
	day := 24 * time.Hour
	many := func(more ...posture.IssuedLeaf) []posture.IssuedLeaf {
		for _, name := range []string{"g", "f", "e", "d", "c", "b", "a"} {
			more = append(more, leaf(name, "one", day, false, "old"))
		}
		return more
	}
	tests := map[string]struct {
		leaves  []posture.IssuedLeaf
		leaving []string
		want    string
		next    time.Duration
	}{
		"no root leaves": {many(), nil, "", 0},
		"an issuer that has shown nothing gets one":  {many(), []string{"old"}, "a", time.Minute},
		"and an hour for the next, if it was no use": {many(leaf("z", "one", time.Minute, false, "old")), []string{"old"}, "", 59 * time.Minute},
		"while that is under way nothing more":       {many(leaf("z", "one", day, true, "old")), []string{"old"}, "", time.Minute},
		"once it signs anew, five at a time":         {many(leaf("z", "one", time.Minute, false, "new")), []string{"old"}, "a b c d e", time.Minute},
		"those under way count":                      {many(leaf("z", "one", time.Minute, false, "new"), leaf("y", "two", day, true, "old")), []string{"old"}, "a b c d", time.Minute},
		"another issuer shows nothing for this one":  {many(leaf("z", "two", time.Minute, false, "new")), []string{"old"}, "a", time.Minute},
		"what stands on a root that stays as well":   {[]posture.IssuedLeaf{leaf("a", "one", day, false, "new", "old")}, []string{"old"}, "", 0},
		"what is not known":                          {[]posture.IssuedLeaf{leaf("a", "one", day, false)}, []string{"old"}, "", 0},
		"what was issued a moment ago waits":         {[]posture.IssuedLeaf{leaf("a", "one", time.Minute, false, "old"), leaf("b", "one", day, false, "new")}, []string{"old"}, "", 9 * time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			reissue, next := posture.DecideReissue(trustNow, test.leaves, test.leaving)
			names := make([]string, len(reissue))
			for i, one := range reissue {
				names[i] = one.Name
			}
			if got := strings.Join(names, " "); got != test.want {
				t.Errorf("issues %q anew, want %q", got, test.want)
			}
			if want := trustNow.Add(test.next); test.next == 0 && !next.IsZero() || test.next > 0 && !next.Equal(want) {
				t.Errorf("looks again at %s, want %s", next, want)
			}
		})
	}
}

func TestARenewalIsLateAfterTwelveHoursAndVeryLateAtHalfOfTheSlack(t *testing.T) {
	due, expiry := trustNow, trustNow.Add(264*time.Hour)
	tests := []struct {
		after time.Duration
		want  posture.Lateness
	}{
		{-time.Hour, posture.OnTime}, {11 * time.Hour, posture.OnTime}, {12 * time.Hour, posture.Late}, {131 * time.Hour, posture.Late}, {132 * time.Hour, posture.VeryLate},
		{400 * time.Hour, posture.VeryLate},
	}
	for _, test := range tests {
		if got := posture.LatenessOf(due.Add(test.after), due, expiry); got != test.want {
			t.Errorf("%s after it was due: %q, want %q", test.after, got, test.want)
		}
	}
	if got := posture.LatenessOf(trustNow, time.Time{}, expiry); got != posture.OnTime {
		t.Errorf("never issued: %q", got)
	}
}
