// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package reliability tries how reconcilers behave when things go wrong: the
// process dies at any write, calls fail in every way, reads are old, events are
// lost. Whatever happens, the end state must be that of an undisturbed run, and
// once there nothing more may be written.
//
// It runs reconcilers pass by pass, without watches: a change is only ever
// noticed by the next pass over all objects, as if every event had been dropped.
// It must not sleep, and must not know any particular reconciler. The ways of
// failing are those of Sieve (OSDI 2022), https://github.com/sieve-project/sieve.
package reliability
