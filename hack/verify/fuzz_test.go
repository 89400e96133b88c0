// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
)

func TestFuzzTargetsAreFoundWithTheirPackages(t *testing.T) {
	const listed = "FuzzCut\nFuzzParse\nok  \texample.com/m/a\t0.005s\n" +
		"?   \texample.com/m/none\t[no test files]\n" +
		"ok  \texample.com/m/plain\t0.003s\n" +
		"FuzzParse\nok  \texample.com/m/b\t(cached)\n"
	want := []fuzzTarget{
		{pkg: "example.com/m/a", name: "FuzzCut"},
		{pkg: "example.com/m/a", name: "FuzzParse"},
		{pkg: "example.com/m/b", name: "FuzzParse"},
	}
	if got := fuzzTargets(listed); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}
