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
	sorted := slices.SortedFunc(slices.Values(leaves), func(a, b IssuedLeaf) int {
		return cmp.Or(cmp.Compare(a.Certificate.Namespace, b.Certificate.Namespace), cmp.Compare(a.Certificate.Name, b.Certificate.Name))
	})
	switched, quietUntil, running := map[string]bool{}, map[string]time.Time{}, 0
	for _, leaf := range sorted {
		old := onlyUnder(leaf.Roots, leaving)
		if !old && len(leaf.Roots) > 0 {
			switched[leaf.Issuer] = true
		}
		if leaf.Issuing {
			running++
		}
		until := leaf.IssuedAt.Add(tryIssuerAgain)
		if leaf.Issuing {
			until = now.Add(time.Minute)
		}
		if old && until.After(quietUntil[leaf.Issuer]) {
			quietUntil[leaf.Issuer] = until
		}
	}
	for _, leaf := range sorted {
		if leaf.Issuing || !onlyUnder(leaf.Roots, leaving) {
			continue
		}
		from := quietUntil[leaf.Issuer]
		if switched[leaf.Issuer] {
			from = leaf.IssuedAt.Add(reissueAgain)
		}
		switch {
		case from.After(now):
			next = Earliest(next, from)
		case running >= reissuesAtOnce:
			next = Earliest(next, now.Add(time.Minute))
		default:
			reissue = append(reissue, leaf.Certificate)
			running++
			if !switched[leaf.Issuer] {
				quietUntil[leaf.Issuer] = now.Add(time.Minute)
			}
		}
	}
	return reissue, next
}

func onlyUnder(roots, leaving []string) bool {
	return len(roots) > 0 && !slices.ContainsFunc(roots, func(root string) bool { return !slices.Contains(leaving, root) })
}

// Lateness says how late the renewal of a certificate is.
type Lateness string

const (
	// OnTime is a certificate whose renewal is not due, or not for long.
	OnTime Lateness = ""
	// Late is a renewal that has been due for 12 hours, VeryLate one for which half of the time until expiry has gone.
	Late     Lateness = "late"
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
