// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// answerFor is how long what an airlock has said of the roots in use counts: it is asked twice a minute.
	answerFor = 5 * time.Minute
	// namedKeepers is how many of those that keep a root are named.
	namedKeepers = 3
)

// TrustKind says whose roots those of a bundle are.
type TrustKind string

const (
	// OwnTrust is the trust domain of this cluster: everybody who uses its roots can say so.
	OwnTrust TrustKind = "Own"
	// FederatedTrust is the trust domain of others: its peers cannot say what they use.
	FederatedTrust TrustKind = "Federated"
	// ExternalTrust is an authority of peers outside of the cluster: they cannot either.
	ExternalTrust TrustKind = "External"
)

// TrustSource is one trust domain, or one external authority, as the platform team configures it.
type TrustSource struct {
	Kind TrustKind
	// Name is the trust domain, or the name of the authority.
	Name  string
	Roots []Root
	// Remove are fingerprints of roots that leave at once, whoever uses them.
	Remove []string
	// Gone says that the configuration has no such entry any more.
	Gone bool
}

// RootUser is somebody who may stand on a root: a pod with airlock, or a certificate.
type RootUser struct {
	// Name is for a person, such as "pod lab/lis-0".
	Name string
	// AnsweredAt is when it was last known what it uses; zero: never.
	AnsweredAt time.Time
	// Roots are the fingerprints of the roots under which it has a leaf or live connections.
	Roots []string
}

// RootDecision is which roots a bundle has.
type RootDecision struct {
	// Publish are all of them, in the order of their fingerprints.
	Publish []Root
	// Leaving are those among them that the configuration no longer has.
	Leaving []LeavingRoot
	// Left are those that leave now.
	Left []Root
}

// LeavingRoot is a root that stays for as long as somebody stands on it.
type LeavingRoot struct {
	Root Root
	// Keepers say what keeps it, sorted.
	Keepers []string
}

// Message names the root and what keeps it, the first three by name.
func (l LeavingRoot) Message() string {
	named := l.Keepers[:min(len(l.Keepers), namedKeepers)]
	text := "sha256:" + l.Root.Fingerprint + ": " + strings.Join(named, "; ")
	if more := len(l.Keepers) - len(named); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// DecideRoots says which roots a bundle has: those of the configuration, and those that were published before and that somebody still stands on. Nobody's
// silence lets a root go: who has not answered lately keeps it, and peers that cannot be asked keep it until the configuration removes it by name.
func DecideRoots(now time.Time, source TrustSource, published []Root, users []RootUser) RootDecision {
	decision := RootDecision{Publish: slices.Clone(source.Roots)}
	for _, root := range sortedRoots(published) {
		if contains(decision.Publish, root.Fingerprint) {
			continue
		}
		keepers := keepersOf(now, source, root, users)
		if len(keepers) == 0 {
			decision.Left = append(decision.Left, root)
			continue
		}
		decision.Publish = append(decision.Publish, root)
		decision.Leaving = append(decision.Leaving, LeavingRoot{Root: root, Keepers: keepers})
	}
	decision.Publish = sortedRoots(decision.Publish)
	return decision
}

func contains(roots []Root, fingerprint string) bool {
	return slices.ContainsFunc(roots, func(root Root) bool { return root.Fingerprint == fingerprint })
}

func keepersOf(now time.Time, source TrustSource, root Root, users []RootUser) []string {
	if slices.Contains(source.Remove, root.Fingerprint) {
		return nil
	}
	var keepers []string
	switch {
	case source.Gone:
		keepers = append(keepers, "the configuration has no entry for it any more: give one that removes it by its fingerprint")
	case source.Kind != OwnTrust:
		keepers = append(keepers, "peers outside of the cluster cannot say whether they use it: remove it by its fingerprint in the configuration")
	}
	for _, user := range users {
		switch {
		case slices.Contains(user.Roots, root.Fingerprint):
			keepers = append(keepers, user.Name+" uses it")
		case source.Kind == OwnTrust && now.Sub(user.AnsweredAt) > answerFor:
			keepers = append(keepers, user.Name+" has not said what it uses")
		}
	}
	slices.Sort(keepers)
	return slices.Compact(keepers)
}

// RootsInUse are the fingerprints of the roots under which an airlock has its leaf or live connections.
func RootsInUse(facts AirlockFacts) []string {
	var roots []string
	if identity := facts.Report.Identity; identity != nil && identity.Root != "" {
		roots = append(roots, identity.Root)
	}
	for _, connections := range facts.Report.Connections {
		if connections.Count > 0 && connections.Root != "" {
			roots = append(roots, connections.Root)
		}
	}
	slices.Sort(roots)
	return slices.Compact(roots)
}

// BundleState says how far a bundle has come in a pod.
type BundleState string

// States of a bundle in a pod: it has all roots of the configuration, it lacks one, or its airlock does not answer.
const (
	BundleCurrent BundleState = "current"
	BundleBehind  BundleState = "behind"
	BundleUnknown BundleState = "unknown"
)

// StateOfBundle says whether a pod has all roots that the configuration has for a source: only then may an issuer sign with a new one.
func StateOfBundle(now time.Time, source TrustSource, facts AirlockFacts) BundleState {
	if now.Sub(facts.ReportedAt) > answerFor {
		return BundleUnknown
	}
	has := facts.Report.Bundles[source.Name]
	if source.Kind == ExternalTrust {
		has = facts.Report.Authorities[source.Name]
	}
	for _, root := range source.Roots {
		if !slices.Contains(has, root.Fingerprint) {
			return BundleBehind
		}
	}
	return BundleCurrent
}
