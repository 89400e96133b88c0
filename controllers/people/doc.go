// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package people keeps what is known about people's ways into pods: which identity providers' claims arrive, who has used break glass, who holds
// rights that go around the gate for people, and the training records in the order in which decisions look them up.
//
// It decides about no request: admission does, and hands what it has seen to Proofs and Uses, which never make it wait. What any of it means for a
// LabWorkload is decided in internal/posture.
package people
