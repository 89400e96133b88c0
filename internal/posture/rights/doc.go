// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rights finds who could go around the gate for people: forge the claims of a login, become a machine that is never asked for one, reach
// containers through the kubelet, read Secrets, or grant themselves more. It reads RBAC objects as the API server's authorizer does.
//
// It must not talk to a cluster or decide what a finding means for a condition: it takes objects and gives findings, the worst of each binding
// once, in an order that does not depend on the order of the objects, and never more than a bound. Only RBAC is read: a webhook authorizer or
// client certificates of the group system:masters are beyond it.
package rights
