// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package lab is a laboratory in small, for tests on a real node: an MLLP server with true HL7 v2 acknowledgements, a client that loads it without pause,
// an interface engine between them, an HTTP pair, a server that speaks first, and a look at the packets of an interface. None of them knows of TLS or of
// labguard: they are what adoption must not disturb.
//
// Verify compares what clients were told with what servers did: a message that was acknowledged and never processed is lost, one that was processed twice
// is doubled. internal/e2e/lab/app is all of it as one static program.
package lab
