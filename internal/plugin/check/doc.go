// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package check says of manifests, before they are applied, whether the gate would let them in: as a tree for people, as JSON, and as SARIF
// for tools that show findings beside the lines of a file.
//
// It reads files that somebody else has opened, and asks the function that admission asks (packages rollout, hold and posture) with facts that somebody
// else has gathered. It opens nothing, asks nobody, and takes the time as an argument.
package check
