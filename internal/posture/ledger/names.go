// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/labguard/labguard/api/v1alpha1"
)

const maxName = 253

// RecordName is the name of the RolloutRecord of a root workload: <kind>-<name>, shortened with a hash above 253 characters.
// Jobs and bare pods share one record, since their names are new each time.
func RecordName(kind, name string) string {
	if kind == "Job" || kind == "Pod" {
		return v1alpha1.RunOnceRecordName
	}
	full := strings.ToLower(kind) + "-" + name
	if len(full) <= maxName {
		return full
	}
	sum := sha256.Sum256([]byte(full))
	suffix := "-" + hex.EncodeToString(sum[:8])
	return strings.TrimRight(full[:maxName-len(suffix)], "-.") + suffix
}
