// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import "strings"

// canaryPrefix is how the hold annotation of a canary begins; the nonce follows.
const canaryPrefix = "canary:"

// CanaryMark is the value of the hold annotation of a canary with a nonce.
func CanaryMark(nonce string) string { return canaryPrefix + nonce }

// CanaryNonce is the nonce in a hold annotation; false if it is none of a canary.
func CanaryNonce(hold string) (nonce string, found bool) {
	return strings.CutPrefix(hold, canaryPrefix)
}

// CanaryText is what both webhooks answer to a canary with a nonce: the mutating one as a warning, the validating one as a refusal.
func CanaryText(nonce string) string { return "labguard canary " + nonce }
