// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"slices"
	"testing"
)

func TestOnlyWhatLabguardHasPutInIsLeftOut(t *testing.T) {
	const airlock, before = "registry.lab.example/airlock@sha256:1", "registry.lab.example/airlock@sha256:0"
	known := []string{airlock, before}
	tests := map[string]struct {
		image TemplateImage
		known []string
		left  bool
	}{
		"the sidecar":                        {TemplateImage{"airlock", airlock, true}, known, true},
		"the sidecar of a revision before":   {TemplateImage{"airlock", before, true}, known, true},
		"what redirects":                     {TemplateImage{"airlock-redirect", airlock, true}, known, true},
		"a sidecar of another image":         {TemplateImage{"airlock", "registry.lab.example/airlock@sha256:2", true}, known, false},
		"a tag of the same repository":       {TemplateImage{"airlock", "registry.lab.example/airlock:1", true}, known, false},
		"an init container of another name":  {TemplateImage{"airlock2", airlock, true}, known, false},
		"a container that is called airlock": {TemplateImage{"airlock", airlock, false}, known, false},
		"a volume that is called airlock":    {TemplateImage{"volume airlock", airlock, false}, known, false},
		"no airlock is configured":           {TemplateImage{"airlock", airlock, true}, nil, false},
		"an empty name is no configuration":  {TemplateImage{"airlock", "", true}, []string{""}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			other := TemplateImage{"lis", "lis:1", false}
			images := []TemplateImage{test.image, other}
			want := []TemplateImage{test.image, other}
			if test.left {
				want = want[1:]
			}
			if got := WithoutAirlock(images, test.known...); !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			if images[0] != test.image || images[1] != other {
				t.Errorf("the images of the caller have become %v", images)
			}
		})
	}
}
