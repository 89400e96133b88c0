// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"os"
)

// auditPolicy makes the audit log list what the operator writes, so that tests
// can count its writes ("a second reconcile writes nothing"), all that members of
// the group for break glass ask for, which has to be found after an outage, and ways
// into pods with the answers that they got. Nobody goes into a pod, or is in that
// group, who does not come for a test of it.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    users: ["system:serviceaccount:labguard-system:labguard"]
    verbs: [create, update, patch, delete, deletecollection]
  - level: Metadata
    userGroups: ["labguard:break-glass"]
  - level: Metadata
    resources:
      - group: ""
        resources: [pods/exec, pods/attach, pods/portforward, pods/proxy, pods/ephemeralcontainers, services/proxy]
  - level: None
`

func writeAuditPolicy(l layout) error {
	if err := os.WriteFile(l.auditPolicy(), []byte(auditPolicy), 0o600); err != nil {
		return fmt.Errorf("write audit policy: %w", err)
	}
	// The API server makes it when the first event comes; readers need not know.
	f, err := os.OpenFile(l.auditLog(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("create audit log: %w", err)
	}
	return f.Close()
}
