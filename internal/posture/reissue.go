// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// reissuesAtOnce is how many certificates are issued anew at the same time: issuers have limits of their own.
	reissuesAtOnce = 5
	// tryIssuerAgain is how long after a certificate that an issuer has signed with a leaving root the next is asked of it.
	tryIssuerAgain = time.Hour
	// reissueAgain is how long after it was issued a certificate is issued anew at the earliest.
	reissueAgain = 10 * time.Minute
	// lateAfter is how long after it was due a renewal is late.
	lateAfter = 12 * time.Hour
)

// IssuedLeaf is a certificate that labguard has asked for, and what it stands on.
type IssuedLeaf struct {
	Certificate types.NamespacedName
	// Issuer names the issuer; IssuedAt is when the leaf became valid.
	Issuer   string
	IssuedAt time.Time
	// Issuing says that it is being issued anew already.
	Issuing bool
	// Roots are the fingerprints of the roots that it chains to.
	Roots []string
}

// DecideReissue says which certificates are to be issued anew now, since their leaf stands on leaving roots alone, and when to look again. An issuer that
// has not yet shown that it signs with a root that stays is tried with one certificate an hour; one that has gets a few at a time.
func DecideReissue(now time.Time, leaves []IssuedLeaf, leaving []string) (reissue []types.NamespacedName, next time.Time) {
	if len(leaving) == 0 {
		return nil, time.Time{}
	}
	pace := paceOf(now, leaves, leaving)
	for _, leaf := range sortedLeaves(leaves) {
		if leaf.Issuing || !onlyUnder(leaf.Roots, leaving) {
			continue
		}
		from := pace.quietUntil[leaf.Issuer]
		if pace.switched[leaf.Issuer] {
			from = leaf.IssuedAt.Add(reissueAgain)
		}
		switch {
		case from.After(now):
			next = Earliest(next, from)
		case pace.running >= reissuesAtOnce:
			next = Earliest(next, now.Add(time.Minute))
		default:
			reissue = append(reissue, leaf.Certificate)
			pace.running++
			pace.quietUntil[leaf.Issuer] = now.Add(time.Minute)
		}
	}
	return reissue, next
}

// MayIssueAnew says whether one certificate that peers refuse for its age may be issued anew now. An issuer that has failed, or that sets the beginning so far back
// that peers refuse the next one too, is asked once an hour. asked is when it was last asked, failed when it last failed; zero: never.
func MayIssueAnew(now time.Time, issuing bool, asked, failed time.Time) bool {
	return !issuing && now.Sub(asked) >= tryIssuerAgain && now.Sub(failed) >= tryIssuerAgain
}

// pace is what issuers have shown: which sign with a root that stays, until when one that has not is left in peace, and how much is under way.
type pace struct {
	switched   map[string]bool
	quietUntil map[string]time.Time
	running    int
}

func paceOf(now time.Time, leaves []IssuedLeaf, leaving []string) pace {
	p := pace{switched: map[string]bool{}, quietUntil: map[string]time.Time{}}
	for _, leaf := range leaves {
		old, until := onlyUnder(leaf.Roots, leaving), leaf.IssuedAt.Add(tryIssuerAgain)
		if leaf.Issuing {
			p.running++
			until = now.Add(time.Minute)
		}
		switch {
		case old && until.After(p.quietUntil[leaf.Issuer]):
			p.quietUntil[leaf.Issuer] = until
		case !old && len(leaf.Roots) > 0:
			p.switched[leaf.Issuer] = true
		}
	}
	return p
}

func sortedLeaves(leaves []IssuedLeaf) []IssuedLeaf {
	return slices.SortedFunc(slices.Values(leaves), func(a, b IssuedLeaf) int {
		return cmp.Or(cmp.Compare(a.Certificate.Namespace, b.Certificate.Namespace), cmp.Compare(a.Certificate.Name, b.Certificate.Name))
	})
}

func onlyUnder(roots, leaving []string) bool {
	return len(roots) > 0 && !slices.ContainsFunc(roots, func(root string) bool { return !slices.Contains(leaving, root) })
}

// Lateness says how late the renewal of a certificate is.
type Lateness string

const (
	// OnTime is a certificate whose renewal is not due, or not for long.
	OnTime Lateness = ""
	// Late is a renewal that has been due for 12 hours.
	Late Lateness = "late"
	// VeryLate is one for which half of the time until expiry has gone.
	VeryLate Lateness = "very_late"
)

// LatenessOf judges a certificate by when its renewal is due and when it expires. Zero times judge nothing.
func LatenessOf(now, renewal, expiry time.Time) Lateness {
	if renewal.IsZero() || expiry.IsZero() || !expiry.After(renewal) {
		return OnTime
	}
	late := now.Sub(renewal)
	switch {
	case late >= expiry.Sub(renewal)/2:
		return VeryLate
	case late >= lateAfter:
		return Late
	default:
		return OnTime
	}
}
