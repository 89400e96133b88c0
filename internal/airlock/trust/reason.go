// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import "errors"

// Reason is one word for why a peer is refused or a connection ended. The words are a closed set: logs, metrics and reports have them.
type Reason string

// Reasons of a refusal.
const (
	// NoIdentity means that there is no certificate of our own yet, NoTrust that there is no root for what the peer shows.
	NoIdentity Reason = "NoIdentity"
	NoTrust    Reason = "NoTrust"
	// NoCertificate means that the peer showed none; ChainTooLong that it showed more than maxChain.
	NoCertificate Reason = "NoCertificate"
	ChainTooLong  Reason = "ChainTooLong"
	// AuthorityAsLeaf means that the peer showed the certificate of an authority as its own.
	AuthorityAsLeaf Reason = "AuthorityAsLeaf"
	// NoID means that the certificate has no SPIFFE ID where one is needed, ManyIDs that it has more than one URI, BadID that
	// its SPIFFE ID breaks the rules for them.
	NoID    Reason = "NoID"
	BadID   Reason = "BadID"
	ManyIDs Reason = "ManyIDs"
	// ForeignDomain means that an external authority vouches for an identity of a trust domain, which has its own roots.
	ForeignDomain Reason = "ForeignDomain"
	// UnknownAuthority means that the certificate does not chain to the roots that count for it, BadChain that the chain is wrong in another way.
	UnknownAuthority Reason = "UnknownAuthority"
	BadChain         Reason = "BadChain"
	// Expired, NotYetValid and WrongUsage speak of the certificate, or of one in its chain.
	Expired     Reason = "Expired"
	NotYetValid Reason = "NotYetValid"
	WrongUsage  Reason = "WrongUsage"
	// NotAllowed means that the peer is who it says and is in no list, WrongAddress that it comes from an address that its entry does not have.
	NotAllowed   Reason = "NotAllowed"
	WrongAddress Reason = "WrongAddress"
	// Revoked means that the certificate was made before the instant from which those of this identity count.
	Revoked Reason = "Revoked"
	// RootRemoved means that the root which vouched for the peer is no longer trusted. A live connection ends for it.
	RootRemoved Reason = "RootRemoved"
)

// RefusedError is the error of a peer that is refused.
type RefusedError struct {
	Reason Reason
	// Peer is what is known of who was refused: a SPIFFE ID or a fingerprint, and never taken for proven.
	Peer string
}

// Error says the reason alone: details are for whoever has the certificate.
func (r *RefusedError) Error() string { return "peer refused: " + string(r.Reason) }

func refuse(reason Reason) error { return &RefusedError{Reason: reason} }

// ReasonOf is the reason of a refusal in the chain of err, or "".
func ReasonOf(err error) Reason {
	if refusal, ok := errors.AsType[*RefusedError](err); ok {
		return refusal.Reason
	}
	return ""
}
