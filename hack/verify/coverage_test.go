// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

const profileText = `mode: atomic
example.com/m/internal/pure/a.go:1.1,2.2 6 4
example.com/m/internal/pure/a.go:3.1,4.2 3 0
example.com/m/internal/pure/deep/b.go:1.1,2.2 1 0
example.com/m/internal/pure/deep/b.go:1.1,2.2 1 7
example.com/m/internal/purely/c.go:1.1,2.2 90 0
`

func TestCoverageOfATree(t *testing.T) {
	blocks, err := readProfile(strings.NewReader(profileText))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		tree   string
		least  float64
		out    string
		errHas string
	}{
		{
			name: "counts the packages below, a block once, and no neighbour with a longer name",
			tree: "internal/pure", least: 70,
			out: "coverage: internal/pure 70.0 % of 10 statements\n",
		},
		{
			name: "below the least is an error that names tree, share and least",
			tree: "internal/pure", least: 90,
			out:    "coverage: internal/pure 70.0 % of 10 statements\n",
			errHas: "internal/pure: tests execute 70.0 % of the statements, and 90 % is the least",
		},
		{
			name: "a tree that no test has touched is an error, not 100 %",
			tree: "internal/gone", least: 90,
			errHas: "internal/gone: the profile has no statement of it",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			err := judge(blocks, test.tree, test.least, &out)
			if out.String() != test.out {
				t.Errorf("output %q, want %q", out.String(), test.out)
			}
			if test.errHas == "" && err != nil || test.errHas != "" && (err == nil || !strings.Contains(err.Error(), test.errHas)) {
				t.Errorf("error %v, want one that says %q", err, test.errHas)
			}
		})
	}
}

func TestAProfileThatIsNone(t *testing.T) {
	for _, text := range []string{"nonsense\n", "m/a.go:1.1,2.2 many 1\n", "m/a.go 1 1\n"} {
		if blocks, err := readProfile(strings.NewReader(text)); err == nil {
			t.Errorf("%q is read as %v, want an error", text, blocks)
		}
	}
}
