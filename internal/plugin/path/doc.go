// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package path follows the way from one LabWorkload to another, link by link: what both have declared, the sidecars, the companion Service, the alias,
// the certificates, the policies and the proof. The first link that is missing is the reason.
//
// It is pure, and knows what statuses, profiles and Services say: labguard keeps no time of the last connection of two peers, and neither does this.
package path
