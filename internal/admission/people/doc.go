// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package people answers the webhooks about people: who gets into a pod, who changes what runs, who takes a token of a machine. It reads who asks and
// what for, gathers what the cluster asks for from caches, asks posture/access, and translates the answer.
//
// It opens no connection and writes nothing. What it sees of logins that arrive, and of break glass, it hands to recorders that never keep it waiting.
// What it cannot answer it fails as an HTTP call, so that the failurePolicy of the webhook decides, and not labguard's state of the moment.
package people
